"""The tuning ConfigMap of one pool: the only way in which a live knob reaches a pod."""

from embedding_contract.endpoints import TUNING_FILE
from embedding_contract.tuning import TuningFile, TuningRejected, dump_tuning, parse_tuning
from embedding_operator.api import names
from embedding_operator.api.service import Manifest
from embedding_operator.render.blueprint import Blueprint
from embedding_operator.render.setting import WantedSetting


def tuning_file(live: Manifest | None, floor: int, wanted: WantedSetting) -> TuningFile:
    """The file to have: the live one where it says what is wanted, else the next generation.

    Args:
        live: the ConfigMap as it is.
        floor: the highest generation that was ever seen; pods refuse older ones.
        wanted: what the pods must run.
    """
    current = read_tuning(live)
    if current is not None and current.generation >= floor:
        if current.default == wanted.default and dict(current.pods) == dict(wanted.pods):
            return current
        floor = current.generation
    return TuningFile(floor + 1, wanted.default, dict(wanted.pods))


def read_tuning(live: Manifest | None) -> TuningFile | None:
    """The tuning file in a ConfigMap, or None where there is none that a server would take."""
    text = ((live or {}).get("data") or {}).get(TUNING_FILE)
    if not isinstance(text, str):
        return None
    try:
        return parse_tuning(text)
    except TuningRejected:
        return None


def tuning_config_map(plan: Blueprint, file: TuningFile) -> Manifest:
    """Render the ConfigMap."""
    name = names.tuning_config_map_name(plan.key.name, plan.pool)
    return {
        **plan.child("v1", "ConfigMap", name, of_pool=True),
        "data": {TUNING_FILE: dump_tuning(file)},
    }
