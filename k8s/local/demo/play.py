"""What the demo's steps share: the cluster, the stage, the figures, the service, the load."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from inside.kubectl import Api
from inside.service import Service
from inside.targets import Targets

from demo.stage import Stage
from load.figures import Figures
from load.generator import Load

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "demo"
NAME = "tiny"
SAMPLE = "k8s/samples/cpu.yaml"


@dataclass
class Moment:
    """The service at one point of the demo, for the table at the end."""

    figures: Figures
    streams: int
    semaphore: int
    bottleneck: str


@dataclass
class Play:
    """One run of the demo."""

    api: Api
    stage: Stage
    targets: Targets
    service: Service
    load: Load | None = None
    before: Moment | None = None
    after: Moment | None = None
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def running_load(self) -> Load:
        """The load of the steps that need one."""
        assert self.load is not None, "this step needs the load"
        return self.load
