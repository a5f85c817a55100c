"""What runs in the cluster: one table of components and their command lines.

Law: pure. It turns paths and addresses into words; starting them is startup.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sluice_local import addresses
from sluice_local.layout import Layout

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
PROCESS_NODE = "process-node"
SERVICE_PROXY = "service-proxy"
PROMETHEUS = "prometheus"

ORDER = (
    ETCD,
    API_SERVER,
    CONTROLLER_MANAGER,
    SCHEDULER,
    PROCESS_NODE,
    SERVICE_PROXY,
    PROMETHEUS,
)
"""The order of starting."""

POD_GRACE_SECONDS = 2
"""What `down` leaves the pods for their own end."""

STOP_PHASES: tuple[tuple[tuple[str, ...], float], ...] = (
    # Pods first, while there still is an API to report their end to.
    ((PROCESS_NODE,), POD_GRACE_SECONDS + 1.0),
    ((PROMETHEUS, SERVICE_PROXY, SCHEDULER, CONTROLLER_MANAGER), 1.0),
    # It waits for open watches to end, which they do not; its data go anyway.
    ((API_SERVER,), 0.5),
    # Last, for an API server that loses it lingers for minutes.
    ((ETCD,), 0.5),
)
"""(components, seconds of grace before SIGKILL), in order."""

_SHORT = {"apiserver": API_SERVER, "kcm": CONTROLLER_MANAGER, "scheduler": SCHEDULER}
_SHORT |= {"controller-manager": CONTROLLER_MANAGER, "node": PROCESS_NODE, "proxy": SERVICE_PROXY}

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PROXIES = {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the built programs are."""

    kubernetes: Path
    prometheus: Path
    promtool: Path
    helm: Path

    @classmethod
    def of(cls, directories: Mapping[str, Path]) -> Programs:
        """From what `Builder.build` returned."""
        return cls(
            kubernetes=directories["controlplane"] / "sluice-k8s",
            prometheus=directories["prometheus"] / "prometheus",
            promtool=directories["prometheus"] / "promtool",
            helm=directories["helm"] / "helm",
        )


def full_name(name: str) -> str | None:
    """The component that a person means, by its name or a usual short one."""
    return name if name in ORDER else _SHORT.get(name)


def network_command(programs: Programs) -> list[str]:
    """Give the fresh network namespace its addresses and routes; ends at once."""
    return [
        str(programs.kubernetes),
        "network",
        f"--node-ip={addresses.NODE_ADDRESS}",
        f"--pod-cidr={addresses.POD_CIDR}",
        f"--service-cidr={addresses.SERVICE_CIDR}",
    ]


def pki_command(programs: Programs, layout: Layout) -> list[str]:
    """Write certificates, keys and kubeconfigs; ends at once."""
    return [
        str(programs.kubernetes),
        "pki",
        f"--dir={layout.pki}",
        f"--node-name={addresses.NODE_NAME}",
        f"--node-ip={addresses.NODE_ADDRESS}",
        f"--service-ip={addresses.SERVICE_ADDRESS}",
    ]


def command(name: str, programs: Programs, layout: Layout) -> list[str]:
    """The command line of one component.

    Raises:
        KeyError: there is no such component.
    """
    table = {
        ETCD: _etcd,
        API_SERVER: _api_server,
        CONTROLLER_MANAGER: _controller_manager,
        SCHEDULER: _scheduler,
        PROCESS_NODE: _process_node,
        SERVICE_PROXY: _service_proxy,
        PROMETHEUS: _prometheus,
    }
    program = programs.prometheus if name == PROMETHEUS else programs.kubernetes
    words = [] if name == PROMETHEUS else [name]
    return [str(program), *words, *table[name](layout)]


def component_environment(environ: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """Variables of components: the machine's, without proxies, for there is no way out."""
    env = without_proxies(environ)
    env["HOME"] = str(layout.state)
    # The kubelet calls `mount`, whatever PATH the person has.
    env["PATH"] = ":".join(filter(None, [environ.get("PATH"), _SYSTEM_PATH]))
    return env


def without_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy without the proxy variables, which would break every call inside the namespace."""
    return {name: value for name, value in environ.items() if name.lower() not in _PROXIES}


def _etcd(layout: Layout) -> list[str]:
    return [
        f"--data-dir={layout.state / 'etcd'}",
        f"--listen-client-urls={addresses.ETCD_URL}",
        f"--advertise-client-urls={addresses.ETCD_URL}",
        f"--listen-peer-urls={addresses.ETCD_PEER_URL}",
        f"--initial-advertise-peer-urls={addresses.ETCD_PEER_URL}",
        f"--initial-cluster=default={addresses.ETCD_PEER_URL}",
        # The data live as long as the cluster: a power cut may take them.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server(layout: Layout) -> list[str]:
    pki = layout.pki
    return [
        f"--etcd-servers={addresses.ETCD_URL}",
        f"--bind-address={addresses.NODE_ADDRESS}",
        f"--advertise-address={addresses.NODE_ADDRESS}",
        f"--secure-port={addresses.API_PORT}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--service-cluster-ip-range={addresses.SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--allow-privileged=true",
    ]


def _controller_manager(layout: Layout) -> list[str]:
    return [
        f"--kubeconfig={layout.pki / 'controller-manager.kubeconfig'}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        # It makes an account for each of its controllers first: 5 s with the usual 20 a second.
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        f"--service-account-private-key-file={layout.pki / 'sa.key'}",
        f"--root-ca-file={layout.pki / 'ca.crt'}",
        "--use-service-account-credentials=true",
        f"--flex-volume-plugin-dir={layout.node / 'flex-volume'}",
    ]


def _scheduler(layout: Layout) -> list[str]:
    return [
        f"--kubeconfig={layout.pki / 'scheduler.kubeconfig'}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]


def _process_node(layout: Layout) -> list[str]:
    pki = layout.pki
    return [
        f"--kubeconfig={pki / 'node.kubeconfig'}",
        f"--node-name={addresses.NODE_NAME}",
        f"--node-ip={addresses.NODE_ADDRESS}",
        f"--pod-cidr={addresses.POD_CIDR}",
        f"--dir={layout.node}",
        f"--cert={pki / 'node.crt'}",
        f"--key={pki / 'node.key'}",
        f"--client-ca={pki / 'ca.crt'}",
        f"--cluster-dns={addresses.DNS_ADDRESS}",
        "--gpus=auto",
        # Pods have no images here: a container's command is looked up in the checkout first.
        f"--path={layout.checkout / '.venv' / 'bin'}",
        f"--grace={POD_GRACE_SECONDS}s",
    ]


def _service_proxy(layout: Layout) -> list[str]:
    return [
        f"--kubeconfig={layout.kubeconfig}",
        f"--service-cidr={addresses.SERVICE_CIDR}",
        f"--cluster-dns={addresses.DNS_ADDRESS}",
    ]


def _prometheus(layout: Layout) -> list[str]:
    return [
        f"--config.file={layout.prometheus_config}",
        f"--storage.tsdb.path={layout.state / 'prometheus' / 'data'}",
        "--storage.tsdb.retention.time=6h",
        f"--web.listen-address={addresses.NODE_ADDRESS}:{addresses.PROMETHEUS_PORT}",
        "--log.level=info",
    ]
