"""Which setting a pool must run: the user's or, as long as he did not edit his, the tuner's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from embedding_contract.tuning import Setting
from embedding_operator.api.spec import EmbeddingServiceSpec
from embedding_operator.api.status import PoolStatus


@dataclass(frozen=True, slots=True)
class WantedSetting:
    """The setting of all pods, and of single pods that differ (a canary)."""

    default: Setting
    pods: Mapping[str, Setting] = field(default_factory=dict)


def wanted_setting(spec: EmbeddingServiceSpec, pool: PoolStatus) -> WantedSetting:
    """Decide between the spec's knobs and what the tuner wrote into status.

    The tuner's setting counts only while the spec still says what the tuner started from. So a
    user's edit is in force at once, also in the middle of a trial; mode Off runs the spec.
    """
    base = pool.tuning.base
    tuned = pool.setting is not None and base is not None and base.setting == spec.setting
    if not tuned or pool.setting is None or spec.tuning.mode == "Off":
        return WantedSetting(spec.setting)
    overrides = {name: knobs.setting for name, knobs in pool.pod_settings.items()}
    return WantedSetting(pool.setting.setting, overrides)
