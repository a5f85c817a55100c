"""Whether the wanted tuning file is in force: every ready pod must say so itself."""

from typing import Final

from embedding_contract.report import TuningReport
from embedding_contract.tuning import Setting
from embedding_operator.api.status import MAX_PODS, ConditionStatus, PodStatus
from embedding_operator.assess.observed import Observed
from embedding_operator.assess.pods import PodState

DEADLINE_SECONDS: Final = 30.0
"""A pod takes a new file within about two seconds; after this long something is wrong."""
MAX_REJECTED: Final = 300

Judgement = tuple[ConditionStatus, str, str]


def judge_tuning(observed: Observed, now: float) -> Judgement:
    """Status, reason and message of the condition TuningInForce."""
    tuning = observed.tuning
    if tuning is None:
        return "Unknown", "NotWritten", "no tuning file was written yet"
    ready = observed.ready_pods
    if not ready:
        why = "ScaledToZero" if observed.replicas == 0 else "NoReadyPods"
        return "Unknown", why, f"generation {tuning.generation} waits for a ready pod"
    behind = [pod for pod in ready if not observed.runs(pod)]
    if not behind:
        what = f"generation {tuning.generation} ({describe(tuning.setting)})"
        return "True", "InForce", f"{what} runs on every ready pod"
    refused = [pod for pod in behind if _refusal(observed, pod)]
    if refused:
        first = refused[0]
        told = f"pod {first.name} refused generation {tuning.generation}"
        return "False", "Rejected", f"{told}: {_refusal(observed, first)}"
    if now - tuning.since < DEADLINE_SECONDS:
        return "False", "Applying", f"generation {tuning.generation} is on its way to the pods"
    told = f"pod {behind[0].name} does not take generation {tuning.generation}"
    others = f" (and {len(behind) - 1} more)" if len(behind) > 1 else ""
    return "False", "NotAcknowledged", f"{told}{others}: {_excuse(observed, behind[0])}"


def pod_statuses(observed: Observed) -> list[PodStatus]:
    """What each pod runs, those that lag behind first, so that they survive the cut."""
    pods = [pod for pod in observed.pods if not pod.deleting]
    pods.sort(key=lambda pod: (not pod.ready or observed.runs(pod), pod.name))
    return [_pod_status(observed, pod) for pod in pods[:MAX_PODS]]


def describe(setting: Setting) -> str:
    """A setting in the words of the spec."""
    text = f"numStreams {setting.num_streams}, semaphoreSize {setting.semaphore_size}"
    if setting.decode_workers:
        text += f", decodeWorkers {setting.decode_workers}"
    if setting.decode_device != "auto":
        text += f", decodeDevice {setting.decode_device}"
    return text


def _pod_status(observed: Observed, pod: PodState) -> PodStatus:
    report = observed.reports.get(pod.name)
    generation = report.generation if isinstance(report, TuningReport) else None
    rejected = _refusal(observed, pod)
    return PodStatus(name=pod.name, ready=pod.ready, generation=generation, rejected=rejected)


def _refusal(observed: Observed, pod: PodState) -> str:
    report = observed.reports.get(pod.name)
    if not isinstance(report, TuningReport) or observed.runs(pod):
        return ""
    return (report.rejected or "")[:MAX_REJECTED]


def _excuse(observed: Observed, pod: PodState) -> str:
    report = observed.reports.get(pod.name)
    if isinstance(report, TuningReport):
        return f"it still runs generation {report.generation}; look at its log"
    return f"it did not answer ({report or 'it has no address'})"
