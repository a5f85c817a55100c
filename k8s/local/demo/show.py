"""The inside of the demo: the steps in their order, and what happens when one of them fails."""

import os
import sys
from contextlib import closing
from pathlib import Path

from inside.errors import InsideError
from inside.evidence import collect
from inside.operator import NAMESPACE as SYSTEM
from inside.place import local_cluster
from inside.service import Service
from inside.targets import Targets

from demo import ending, install, pressure, tuning
from demo.embed import embed_photographs
from demo.play import NAME, NAMESPACE, ROOT, Play
from demo.stage import Stage, StepFailedError

REPORT = ROOT / "reports/demo.json"
EVIDENCE = ROOT / "reports/demo-failure.txt"


def run(play: Play) -> None:
    """All steps.

    Raises:
        StepFailedError: a step did not happen.
        InsideError: the cluster did not do what was asked.
    """
    install.install_operator(play)
    install.make_namespace()
    install.apply_sample(play)
    embed_photographs(play)
    with pressure.load(play):
        pressure.fill(play)
        pressure.edit(play)
        tuning.diagnose(play)
        tuning.try_it(play)
        tuning.afterwards(play)
    ending.compare(play)


def main() -> int:
    """Run the demo inside the cluster and write its report."""
    stage, targets = Stage(), Targets()
    up = os.environ.get("SLUICE_DEMO_UP_SECONDS")
    if up:
        targets.most("cluster up", "s", float(up), 1200)
    try:
        api = local_cluster()
        with closing(Service(api, NAMESPACE, NAME)) as service:
            play = Play(api, stage, targets, service)
            run(play)
        ending.figures(play)
        ending.look_further(play)
    except (StepFailedError, InsideError, OSError, KeyError) as error:
        targets.seen(
            "every step happened", "", f"{type(error).__name__}: {error}", "yes", met=False
        )
        targets.write(REPORT)
        explain(stage, error, EVIDENCE)
        return 1
    targets.write(REPORT)
    if targets.missed:
        stage.failed("; ".join(f"{row.what}: {row.value}" for row in targets.missed))
        explain(stage, None, EVIDENCE)
        return 1
    return 0


def explain(stage: Stage, error: Exception | None, path: Path) -> None:
    """Say why it ended and where to look; what will be gone after the teardown is saved first."""
    if error is not None:
        stage.failed(f"{type(error).__name__}: {error}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(collect((NAMESPACE, SYSTEM)))
    stage.block(f"resources, events and logs of the pods: {path}")
    stage.block(f"logs of the cluster's components: {ROOT / '.sluice/cluster/logs'}")
    stage.block(f"figures so far: {REPORT}")


if __name__ == "__main__":
    sys.exit(main())
