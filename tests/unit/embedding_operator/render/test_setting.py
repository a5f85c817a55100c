"""Who decides the setting: the user, or the tuner as long as the user did not edit his."""

from typing import Any

from embedding_contract.tuning import Setting
from embedding_operator.api.status import PoolStatus
from embedding_operator.api.tuning import Knobs, TuningMemory
from embedding_operator.render.setting import WantedSetting, wanted_setting
from fakes.plans import service

SPEC, TUNED = Setting(1, 4), Setting(3, 9)


def wanted(pool: PoolStatus, **spec: Any) -> WantedSetting:
    made = service(**spec).spec
    assert made is not None
    return wanted_setting(made, pool)


def tuned(base: Setting = SPEC) -> PoolStatus:
    return PoolStatus(
        setting=Knobs.of(TUNED),
        pod_settings={"clip-0": Knobs.of(Setting(2, 2))},
        tuning=TuningMemory(base=Knobs.of(base)),
    )


def test_a_new_service_runs_the_spec() -> None:
    assert wanted(PoolStatus()) == WantedSetting(SPEC)


def test_the_tuners_setting_and_canary_hold_while_the_spec_stays() -> None:
    assert wanted(tuned()) == WantedSetting(TUNED, {"clip-0": Setting(2, 2)})


def test_an_edit_wins_at_once_and_ends_the_canary() -> None:
    assert wanted(tuned(), numStreams=2) == WantedSetting(Setting(2, 4))


def test_an_edit_back_to_where_the_tuner_began_is_no_edit() -> None:
    assert wanted(tuned(), numStreams=1).default == TUNED


def test_mode_off_runs_the_spec() -> None:
    assert wanted(tuned(), tuning={"mode": "Off"}) == WantedSetting(SPEC)


def test_mode_recommend_keeps_what_is_in_force() -> None:
    assert wanted(tuned(), tuning={"mode": "Recommend"}).default == TUNED


def test_a_setting_without_a_known_beginning_does_not_count() -> None:
    assert wanted(PoolStatus(setting=Knobs.of(TUNED))).default == SPEC
