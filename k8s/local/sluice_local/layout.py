"""Where the files of one checkout's cluster lie.

Law: everything that a run leaves behind is below ``<checkout>/.sluice``; the host gets nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one checkout; ``checkout`` must be absolute and free of links."""

    checkout: Path

    @classmethod
    def of_this_checkout(cls) -> Layout:
        """The checkout that this file belongs to."""
        return cls(Path(__file__).resolve().parents[3])

    @property
    def root(self) -> Path:
        """Parent of the state directory; it survives `down`."""
        return self.checkout / ".sluice"

    @property
    def lock(self) -> Path:
        """Held while the cluster of this checkout is brought up or down."""
        return self.root / "cluster.lock"

    @property
    def state(self) -> Path:
        """Everything of one run: mode 0700, for it holds the administrator's key."""
        return self.root / "cluster"

    @property
    def control(self) -> Path:
        """The holder's unix socket; used by a relative name, for a full one may be too long."""
        return self.state / "control"

    @property
    def record(self) -> Path:
        """The state file: who the holder is."""
        return self.state / "state.json"

    @property
    def logs(self) -> Path:
        """One file for each component."""
        return self.state / "logs"

    @property
    def pki(self) -> Path:
        """Certificates, keys and kubeconfigs."""
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; its server is inside the namespace."""
        return self.pki / "admin.kubeconfig"

    @property
    def links(self) -> Path:
        """Directory for PATH: kubectl, helm, prometheus, promtool."""
        return self.state / "bin"

    @property
    def node(self) -> Path:
        """The process node's own directory: volumes, pods, sockets."""
        return self.state / "node"

    @property
    def prometheus_config(self) -> Path:
        """The running Prometheus' configuration."""
        return self.state / "prometheus" / "prometheus.yaml"

    @property
    def mark_directory(self) -> Path:
        """Where the marking file system is mounted, inside the namespace only."""
        return self.state / "mark"

    @property
    def mark(self) -> str:
        """Source name of a mount that every process of this cluster, and no other, can see."""
        return "sluice-cluster-" + sha256(str(self.state).encode()).hexdigest()[:20]

    def log_of(self, component: str) -> Path:
        """The log file of one component."""
        return self.logs / f"{component}.log"
