"""The answer of GET /v1/tuning: how a pod acknowledges what it runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from embedding_contract.tuning import Setting, TuningRejected, parse_setting, setting_to_mapping


@dataclass(frozen=True, slots=True)
class TuningReport:
    """What one pod runs.

    `generation` is None until a tuning file was applied. `requested` is what the file asked for
    (decode_workers may be 0), `setting` what is in force (numbers resolved). `since` is seconds
    since the epoch. `rejected` is the message of the last refused file, or None.
    """

    pod: str
    generation: int | None
    setting: Setting
    requested: Setting
    since: float
    rejected: str | None = None


def report_to_mapping(report: TuningReport) -> dict[str, object]:
    """Return the JSON document of GET /v1/tuning."""
    return {
        "pod": report.pod,
        "generation": report.generation,
        "setting": setting_to_mapping(report.setting),
        "requested": setting_to_mapping(report.requested),
        "since": report.since,
        "rejected": report.rejected,
    }


def parse_report(document: object) -> TuningReport:
    """Read the document of GET /v1/tuning.

    Raises:
        ValueError: the document is not a report (another server answered).
    """
    if not isinstance(document, Mapping):
        raise ValueError("the tuning report must be an object")
    generation, since = document.get("generation"), document.get("since")
    rejected = document.get("rejected")
    if not (generation is None or (isinstance(generation, int) and generation >= 0)):
        raise ValueError(f"generation must be a whole number or null, not {generation!r}")
    if isinstance(since, bool) or not isinstance(since, int | float):
        raise ValueError(f"since must be a number, not {since!r}")
    try:
        setting = parse_setting(document.get("setting"), "setting")
        requested = parse_setting(document.get("requested"), "requested")
    except TuningRejected as error:
        raise ValueError(str(error)) from error
    return TuningReport(
        pod=str(document.get("pod", "")),
        generation=generation,
        setting=setting,
        requested=requested,
        since=float(since),
        rejected=None if rejected is None else str(rejected),
    )
