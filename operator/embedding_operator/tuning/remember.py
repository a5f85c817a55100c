"""Memory: what is written down when a trial begins and ends, and how it stays small."""

from collections.abc import Sequence
from typing import Final

from embedding_contract.tuning import Setting
from embedding_operator.api.tuning import (
    MAX_HISTORY,
    MAX_MEMORY_BYTES,
    MAX_REFUSED,
    HistoryEntry,
    Knobs,
    Refused,
    Trial,
    TuningMemory,
    Verdict,
)
from embedding_operator.tuning.planner import MAX_POLISHES

REFUSED_SECONDS: Final = 6 * 3600.0
COOL_DOWN_WINDOWS: Final = 10
"""After an end from outside (metrics lost, a pod gone) the same move waits so many windows."""


def begun(memory: TuningMemory, trial: Trial) -> TuningMemory:
    """Write down a trial before anything is changed."""
    counter = "polishes" if trial.kind == "Polish" else "jumps"
    return memory.model_copy(
        update={
            "trial": trial,
            "trials": trial.id,
            "settled": None,
            "recommendation": None,
            counter: getattr(memory, counter) + 1,
        }
    )


def ended(
    memory: TuningMemory, trial: Trial, verdict: Verdict, message: str, now: float, *,
    gain: float | None = None, error: float | None = None, windows: int = 0,
    refuse_seconds: float = REFUSED_SECONDS,
) -> TuningMemory:  # fmt: skip
    """Write down how a trial ended: history, refusal, and what it says about the laws.

    A kept trial refuses the way back, so that two settings never swing to and fro.
    """
    entry = HistoryEntry(
        id=trial.id, ended_at=now, from_=trial.from_, to=trial.to, verdict=verdict,
        predicted_gain=trial.predicted_gain, measured_gain=gain, error=error, windows=windows,
        message=message,
    )  # fmt: skip
    kept = verdict == "Kept"
    region = not kept and trial.kind == "Jump" and gain is not None
    behind = Refused(
        setting=trial.from_ if kept else trial.to, until=now + refuse_seconds, region=region
    )
    return memory.model_copy(
        update={
            "trial": None,
            "history": [entry, *memory.history][:MAX_HISTORY],
            "refused": [behind, *memory.refused][:MAX_REFUSED] if refuse_seconds > 0 else
            memory.refused,
            "polishes": _polishes(memory.polishes, trial, verdict),
            "correction": _correction(memory.correction, trial, verdict, gain),
        }
    )  # fmt: skip


def _polishes(polishes: int, trial: Trial, verdict: Verdict) -> int:
    """A step that paid does not count; two that did not are enough."""
    if trial.kind != "Polish":
        return polishes
    return polishes + {"Kept": -1, "RolledBack": MAX_POLISHES // 2}.get(verdict, 0)


def _correction(correction: float, trial: Trial, verdict: Verdict, gain: float | None) -> float:
    """Believe the laws less after a jump that did not come true."""
    if verdict == "Kept" or trial.kind != "Jump" or gain is None or trial.predicted_gain <= 0:
        return correction
    return correction * min(1.0, max(0.4, gain / trial.predicted_gain))


def reopened(memory: TuningMemory) -> TuningMemory:
    """Forget what was learnt under another load. History stays."""
    return memory.model_copy(
        update={"settled": None, "refused": [], "jumps": 0, "polishes": 0, "correction": 1.0}
    )


def rebased(memory: TuningMemory, spec: Setting) -> TuningMemory:
    """Begin anew from the spec's knobs. History and the noise of the place stay."""
    fresh = reopened(memory)
    return fresh.model_copy(
        update={"base": Knobs.of(spec), "trial": None, "recommendation": None, "diagnosis": None}
    )


def current_refusals(refused: Sequence[Refused], now: float) -> list[Refused]:
    """Those that still hold."""
    return [one for one in refused if one.until > now]


def size_bytes(memory: TuningMemory) -> int:
    """Size of the memory as it is stored."""
    return len(memory.model_dump_json(by_alias=True, exclude_none=True).encode())


def fitted(memory: TuningMemory) -> TuningMemory:
    """Drop the oldest history, then the oldest refusals, until it fits into status."""
    while size_bytes(memory) > MAX_MEMORY_BYTES and (memory.history or memory.refused):
        field = "history" if memory.history else "refused"
        memory = memory.model_copy(update={field: getattr(memory, field)[:-1]})
    return memory
