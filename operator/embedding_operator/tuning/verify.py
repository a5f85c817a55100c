"""Judge a trial: keep, roll back, look longer, or look once more at the old setting.

Compared are means of log throughput. Against noise: the error comes from the windows themselves.
Against drift: before-after-before with one pod, the other pods at the same time with a canary.
Where the load does not fill the service throughput only shows the load, so what is compared is
the capacity that the measured demands allow. Kept is what gives 3 % and more than the error.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from embedding_operator.api.tuning import Measurement, Trial
from embedding_operator.tuning.measure import deviation
from embedding_operator.tuning.sample import Sample

KEEP_GAIN: Final = 0.03
KEEP_ERRORS: Final = 0.8
CLEAR_ERRORS: Final = 2.5
"""So many errors above the 3 % need no second look at the old setting."""
HOPELESS_ERRORS: Final = 1.3
KEEP_LATENCY: Final = 0.10
LATENCY_NOISE: Final = 2.5
"""p95 is so much noisier than throughput."""
ABORT_BELOW: Final = 0.75
ABORT_OVER_OBJECTIVE: Final = 1.5
ABORT_REJECTIONS: Final = 0.01
MEMORY_LAST: Final = 0.97

Decision = Literal["keep", "roll back", "more", "confirm"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision with the measured gain (0.1 is +10 %), its error, and what was compared."""

    decision: Decision
    gain: float
    error: float
    basis: str


def judge(
    trial: Trial, after: Measurement, control: Measurement | None = None, *,
    noise: float, p95_objective: float | None, most_windows: int,
) -> Judgement:  # fmt: skip
    """Judge after some windows with the new setting; `control` are the other pods meanwhile."""
    gain, error, basis = _gain(trial, after, noise, control)
    if trial.kind == "Memory":
        return Judgement("keep", math.expm1(gain), error, "memory")
    if trial.kind == "Latency":
        return _judge_latency(trial, after, error, gain, most_windows)
    judgement = _judged(gain, error, basis, after.windows >= most_windows, control is not None)
    if judgement.decision in {"keep", "confirm"} and _breaks(trial, after, p95_objective):
        return Judgement("roll back", judgement.gain, error, "throughput, but p95 is broken")
    return judgement


def confirm(trial: Trial, again: Measurement, noise: float) -> Judgement:
    """Judge with the old setting measured once more: the mean of both sides of the trial."""
    after, before = trial.after or trial.baseline, trial.baseline
    # A throughput that only shows the load decides nothing, on either side.
    by_throughput = after.saturated and before.saturated and again.saturated
    total = before.windows + again.windows
    middle = sum(
        (m.log_throughput if by_throughput else m.log_capacity) * m.windows / total
        for m in (before, again)
    )
    new = after.log_throughput if by_throughput else after.log_capacity
    sigma = deviation(noise, before, after, again)
    error = sigma * math.sqrt(1 / total + 1 / after.windows)
    gain = new - middle
    basis = "throughput before, after and before again" if by_throughput else "demands"
    decision: Decision = "keep" if _enough(gain, error) else "roll back"
    return Judgement(decision, math.expm1(gain), error, basis)


def fatal(
    trial: Trial, latest: Sample, after: Measurement, p95_objective: float | None
) -> str | None:
    """A reason to stop the trial at once, or None."""
    if (latest.memory or 0.0) >= MEMORY_LAST:
        return f"{100 * (latest.memory or 0.0):.0f} % of the GPU memory is in use"
    before_p95 = math.exp(trial.baseline.log_p95)
    limit = ABORT_OVER_OBJECTIVE * p95_objective if p95_objective else math.inf
    if math.exp(after.log_p95) > limit and before_p95 <= limit:
        return f"p95 is {math.exp(after.log_p95):.3g} s, over 1.5 times the objective"
    allowed = max(ABORT_REJECTIONS, 0.25 * trial.baseline.rejected)
    if after.rejected > trial.baseline.rejected + allowed:
        return f"refused requests rose to {100 * after.rejected:.1f} %"
    fell = after.log_throughput - trial.baseline.log_throughput
    if after.windows >= 2 and fell < math.log(ABORT_BELOW) and after.saturated:
        return f"throughput fell by {-100 * math.expm1(fell):.0f} %"
    return None


def load_left(trial: Trial, after: Measurement) -> bool:
    """Whether the load went away during the trial: then it proves nothing."""
    fell = after.log_throughput - trial.baseline.log_throughput
    return trial.kind != "Latency" and not after.saturated and fell < math.log(ABORT_BELOW)


def _gain(
    trial: Trial, after: Measurement, noise: float, control: Measurement | None
) -> tuple[float, float, str]:
    """Log gain, its standard error and what was compared."""
    before = trial.baseline
    if control is not None and trial.control is not None:
        return _gain_of_canary(trial.control, before, after, noise, control)
    sigma = deviation(noise, before, after)
    error = sigma * math.sqrt(1 / before.windows + 1 / after.windows)
    grew = after.log_throughput - before.log_throughput
    # With room left after the change the throughput is the load's: it shows at least that gain.
    if after.saturated or grew >= KEEP_GAIN:
        return grew, error, "throughput"
    return after.log_capacity - before.log_capacity, error, "demands"


def _gain_of_canary(
    others_before: Measurement, before: Measurement, after: Measurement, noise: float,
    others: Measurement,
) -> tuple[float, float, str]:  # fmt: skip
    """The canary against the others now, less what it was against them before."""
    several = (others_before, before, after, others)
    sigma = deviation(noise, *several)
    error = sigma * math.sqrt(sum(1 / one.windows for one in several))
    if all(one.saturated for one in several):
        now = after.log_throughput - others.log_throughput
        was = before.log_throughput - others_before.log_throughput
        return now - was, error, "throughput beside the other pods"
    # A Service spreads the load evenly: below saturation all pods get the same, fast or slow.
    now = after.log_capacity - others.log_capacity
    was = before.log_capacity - others_before.log_capacity
    return now - was, error, "demands beside the other pods"


def _judged(gain: float, error: float, basis: str, last: bool, at_once: bool) -> Judgement:
    percent = math.expm1(gain)
    if gain + HOPELESS_ERRORS * error < KEEP_GAIN:
        return Judgement("roll back", percent, error, basis)
    if gain - CLEAR_ERRORS * error >= KEEP_GAIN:
        return Judgement("keep", percent, error, basis)
    if not last:
        return Judgement("more", percent, error, basis)
    if not _enough(gain, error):
        return Judgement("roll back", percent, error, basis)
    # A comparison at the same time holds no drift, so a second look adds nothing to it.
    return Judgement("keep" if at_once else "confirm", percent, error, basis)


def _judge_latency(
    trial: Trial, after: Measurement, error: float, gain: float, most_windows: int
) -> Judgement:
    """A move for the response time: p95 must fall by 10 %, throughput may not."""
    fell = trial.baseline.log_p95 - after.log_p95
    p95_error = LATENCY_NOISE * error
    percent = -math.expm1(-fell)
    good = fell >= max(KEEP_LATENCY, 1.2 * p95_error) and gain >= -0.02 - 0.5 * error
    if good:
        return Judgement("keep", percent, p95_error, "p95")
    last = after.windows >= most_windows or fell + HOPELESS_ERRORS * p95_error < KEEP_LATENCY
    return Judgement("roll back" if last else "more", percent, p95_error, "p95")


def _enough(gain: float, error: float) -> bool:
    return gain >= max(KEEP_GAIN, KEEP_ERRORS * error)


def _breaks(trial: Trial, after: Measurement, p95_objective: float | None) -> bool:
    """Whether the new setting breaks an objective without even improving p95."""
    if p95_objective is None or math.exp(after.log_p95) <= p95_objective:
        return False
    return trial.baseline.log_p95 - after.log_p95 <= 0.02
