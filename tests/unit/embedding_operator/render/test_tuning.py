"""The tuning file: a new generation only for a new content, and never an older one."""

from hypothesis import given
from hypothesis import strategies as st

from embedding_contract.endpoints import TUNING_FILE
from embedding_contract.tuning import Setting, TuningFile, parse_tuning
from embedding_operator.api.service import Manifest
from embedding_operator.render.setting import WantedSetting
from embedding_operator.render.tuning import read_tuning, tuning_config_map, tuning_file
from fakes.plans import plan

SETTINGS = st.builds(Setting, st.integers(1, 4), st.integers(1, 4))
WANTED = st.builds(WantedSetting, SETTINGS, st.dictionaries(st.sampled_from("ab"), SETTINGS))


def config_map(file: TuningFile) -> Manifest:
    return tuning_config_map(plan(), file)


@given(st.lists(WANTED, min_size=1, max_size=8))
def test_generations_rise_exactly_when_the_content_changes(steps: list[WantedSetting]) -> None:
    live: Manifest | None = None
    before: TuningFile | None = None
    for wanted in steps:
        file = tuning_file(live, before.generation if before else 0, wanted)
        assert (file.default, dict(file.pods)) == (wanted.default, dict(wanted.pods))
        same = before is not None and (before.default, before.pods) == (file.default, file.pods)
        assert file.generation == (before.generation if before else 0) + (not same)
        live, before = config_map(file), file


@given(st.integers(0, 50), st.integers(0, 50), WANTED)
def test_it_is_never_older_than_what_a_pod_already_ran(
    generation: int, floor: int, wanted: WantedSetting
) -> None:
    live = config_map(TuningFile(generation, Setting(9, 9)))
    assert tuning_file(live, floor, wanted).generation > max(generation, floor)


def test_a_file_that_no_server_would_take_is_written_anew() -> None:
    live = {"data": {TUNING_FILE: '{"version": 1}'}}
    assert read_tuning(live) is None
    assert tuning_file(live, 4, WantedSetting(Setting(1, 1))) == TuningFile(5, Setting(1, 1))


def test_the_config_map_holds_what_a_server_reads() -> None:
    file = TuningFile(3, Setting(2, 8), {"clip-0": Setting(1, 1)})
    made = config_map(file)
    assert made["metadata"]["name"] == "clip-tuning"
    assert parse_tuning(made["data"][TUNING_FILE]) == file
