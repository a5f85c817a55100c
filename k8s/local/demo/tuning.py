"""Steps 7 to 9: what limits the service, with the numbers, and one trial with its end."""

import time
from typing import Any

from inside.kubectl import Document

from demo.play import NAME, NAMESPACE, Play
from demo.pressure import DIAGNOSIS_SECONDS, measure, verdict
from demo.stage import USER, StepFailedError

TRIAL_SECONDS = 90.0
VERDICT_SECONDS = 240.0
SETTLED_SECONDS = 25.0
"""Four windows of the sample: the diagnosis then belongs to what the trial left."""


def diagnose(play: Play) -> None:
    """Wait for the diagnosis and the recommendation, and show the numbers behind them."""
    with play.stage.step("What limits it? The diagnosis, with evidence"):
        memory = play.stage.under_load(
            play.running_load, "measuring", DIAGNOSIS_SECONDS, lambda: diagnosed(play)
        )
        diagnosis = memory["diagnosis"]
        play.stage.done("the operator asked Prometheus for its last windows and applied its laws")
        play.stage.yourself(
            f"{USER} kubectl -n {NAMESPACE} get embsvc {NAME} "
            "-o jsonpath='{.status.pools[0].tuning.diagnosis}'"
        )
        play.stage.seen(f"{diagnosis['class']}: {diagnosis['message']}")
        play.stage.table(("evidence", "value", "threshold", "unit"), evidence(diagnosis))
        recommendation = memory["recommendation"]
        play.stage.seen(f"it would: {recommendation['message']}")
        play.stage.block(recommendation["patch"])
        play.targets.seen(
            "diagnosis under load", "class", diagnosis["class"], "a class with evidence",
            met=bool(diagnosis["evidence"]),
        )  # fmt: skip
        moved = play.service.pool()["setting"]["semaphoreSize"] != 1
        play.targets.exactly("changes made in mode Recommend", "changes", int(moved), 0)


def diagnosed(play: Play) -> Document | None:
    """The tuner's memory once it has a verdict and a recommendation that belongs to the edit."""
    memory = play.service.memory()
    base = (memory.get("base") or {}).get("numStreams")
    ours = base == play.service.resource()["spec"]["numStreams"]
    return memory if ours and verdict(memory) and memory.get("recommendation") else None


def evidence(diagnosis: Document) -> list[tuple[str, str, str, str]]:
    """The numbers behind a verdict as rows."""
    return [
        (each["name"], f"{each['value']:g}", threshold(each), each.get("unit", "ratio"))
        for each in diagnosis["evidence"]
    ]


def threshold(evidence: dict[str, Any]) -> str:
    """Where a class begins, or nothing."""
    found = evidence.get("threshold")
    return "" if found is None else f"{found:g}"


def try_it(play: Play) -> None:
    """Switch to Auto and watch one trial from its record to its verdict."""
    with play.stage.step("Let it act: one trial in Auto"):
        begin = time.monotonic()
        before = len(play.service.memory().get("history", []))
        play.service.patch({"tuning": {"mode": "Auto"}})
        play.stage.done("mode Recommend -> Auto")
        play.stage.yourself(
            f"{USER} kubectl -n {NAMESPACE} patch embsvc {NAME} --type=merge "
            '-p \'{"spec":{"tuning":{"mode":"Auto"}}}\''
        )
        trial = play.stage.under_load(
            play.running_load, "waiting for a trial", TRIAL_SECONDS,
            lambda: play.service.memory().get("trial"),
        )  # fmt: skip
        play.stage.seen(
            f"trial {trial['id']} recorded before anything changed: {knobs(trial['from'])} -> "
            f"{knobs(trial['to'])}, predicted {trial['predictedGain']:+.0%}: {trial['reason']}"
        )
        entry = play.stage.under_load(
            play.running_load, "trial", VERDICT_SECONDS, lambda: finished(play, trial["id"])
        )
        show_verdict(play, entry, time.monotonic() - begin)
        play.targets.least("trials with a verdict", "trials", len(history(play)) - before, 1)


def finished(play: Play, number: int) -> Document | None:
    """The history's entry of a trial, once it has one."""
    return next((entry for entry in history(play) if entry["id"] == number), None)


def history(play: Play) -> list[Document]:
    """Finished trials, the newest first."""
    found: list[Document] = play.service.memory().get("history", [])
    return found


def show_verdict(play: Play, entry: Document, seconds: float) -> None:
    """What was expected beside what came."""
    measured = entry.get("measuredGain")
    came = "not measured" if measured is None else f"{measured:+.0%}"
    play.stage.seen(
        f"{entry['verdict']} after {seconds:.0f} s: predicted {entry['predictedGain']:+.0%}, "
        f"measured {came}. {entry['message']}"
    )
    if entry["verdict"] not in ("Kept", "RolledBack"):
        raise StepFailedError(f"the trial ended without being judged: {entry['message']}")
    play.targets.seen(
        "verdict of the trial", "verdict", entry["verdict"], "Kept or RolledBack",
        met=entry["verdict"] in ("Kept", "RolledBack"),
    )  # fmt: skip


def knobs(setting: Document) -> str:
    """The two knobs of a setting in short."""
    return f"{setting['numStreams']} streams / {setting['semaphoreSize']} permits"


def afterwards(play: Play) -> None:
    """Suspend the tuner, so that the last figures belong to one setting, and measure."""
    with play.stage.step("And now?"):
        play.service.patch({"tuning": {"suspend": True}})
        play.service.wait_condition("TuningInForce", "True", 30)
        play.after = measure(play, "as tuned", SETTLED_SECONDS)
        play.stage.done("suspended the tuner, so that the setting stands still, and measured again")
        play.stage.seen(f"{play.after.figures}")
