"""Steps 5 and 6: a load that fills the service, and a user's edit while it runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from inside.kubectl import Document
from inside.operator import restarts
from inside.wait import eventually

from demo.play import NAME, NAMESPACE, Moment, Play
from demo.stage import USER, StepFailedError
from load.generator import Load, Plan
from load.photographs import photographs

CLIENTS = 6
IMAGES = 4
LONGEST_SECONDS = 900.0
BASELINE_SECONDS = 10.0
DIAGNOSIS_SECONDS = 90.0
NO_VERDICT = ("NoData", "Unstable")
IN_FORCE_SECONDS = 10.0
EDITED_STREAMS = 2


@contextmanager
def load(play: Play) -> Iterator[None]:
    """Keep the load running for the steps in the block."""
    files = photographs(6)
    plan = Plan(play.service.url(), files, CLIENTS, IMAGES, LONGEST_SECONDS)
    with Load(plan) as running:
        play.load = running
        yield


def fill(play: Play) -> None:
    """Let the load run for a while and note what the service does as it was applied."""
    with play.stage.step("Fill the service"):
        play.stage.done(
            f"{CLIENTS} clients send {IMAGES} photographs a request, each as soon as it is answered"
        )
        address = play.service.url()
        play.stage.yourself(
            f"PYTHONPATH=tests {USER} run .venv/bin/python -m load {address} --clients {CLIENTS}"
        )
        play.stage.under_load(
            play.running_load, "filling", DIAGNOSIS_SECONDS, lambda: verdict(play.service.memory())
        )
        play.before = measure(play, "as applied")
        play.stage.seen(f"{play.before.figures}")


def verdict(memory: Document) -> str:
    """The class of a diagnosis that stands on measurements; empty while there is none."""
    found = (memory.get("diagnosis") or {}).get("class", "NoData")
    return "" if found in NO_VERDICT else str(found)


def measure(play: Play, title: str, seconds: float = BASELINE_SECONDS) -> Moment:
    """Let the load run for some seconds and sum them up."""
    begin = time.monotonic()
    until = begin + seconds
    play.stage.under_load(play.running_load, title, seconds * 3, lambda: time.monotonic() > until)
    figures = play.running_load.figures(begin)
    if not figures.ok:
        raise StepFailedError(f"no request was answered: {figures} {figures.faults}")
    pool = play.service.pool()
    setting, known = pool["setting"], verdict(pool["tuning"])
    return Moment(figures, setting["numStreams"], setting["semaphoreSize"], known or "not known")


def edit(play: Play) -> None:
    """Edit numStreams under load: in force on every pod, and nobody noticed."""
    with play.stage.step("Edit a knob while it works"):
        pods, begin = identities(play), time.monotonic()
        play.service.patch({"numStreams": EDITED_STREAMS})
        eventually(
            lambda: in_force(play, EDITED_STREAMS), f"numStreams {EDITED_STREAMS} in force",
            IN_FORCE_SECONDS * 3, every=0.1,
            last=lambda: str(play.service.reports()),
        )  # fmt: skip
        seconds = time.monotonic() - begin
        play.service.wait_condition("TuningInForce", "True", 30)
        measure(play, "after the edit")
        play.stage.done(f"numStreams 1 -> {EDITED_STREAMS} with kubectl patch, under load")
        play.stage.yourself(
            f"{USER} kubectl -n {NAMESPACE} patch embsvc {NAME} --type=merge "
            f'-p \'{{"spec":{{"numStreams":{EDITED_STREAMS}}}}}\''
        )
        now = identities(play)
        failed = play.running_load.figures().failed
        again = sum(now.values()) - sum(pods.values())
        play.stage.seen(
            f"in force on every pod after {seconds:.1f} s; the same pods, {again} restarts, "
            f"{failed} failed requests"
        )
        play.targets.most("edit in force on every pod", "s", seconds, IN_FORCE_SECONDS)
        play.targets.exactly("pods replaced by the edit", "pods", len(set(pods) ^ set(now)), 0)
        play.targets.exactly("restarts by the edit", "restarts", again, 0)
        play.targets.exactly("failed requests during the edit", "requests", failed, 0)


def identities(play: Play) -> dict[str, int]:
    """Every pod's UID with its number of restarts."""
    return {identity(pod): restarts(pod) for pod in play.service.pods()}


def identity(pod: Document) -> str:
    """A pod's UID."""
    return str(pod["metadata"]["uid"])


def in_force(play: Play, streams: int) -> bool:
    """Whether every pod reports that many lanes."""
    reports = play.service.reports()
    return bool(reports) and all(report.setting.num_streams == streams for report in reports)
