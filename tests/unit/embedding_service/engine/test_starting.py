"""The setting to start with: worked out by hand for a few machines, inside its bounds for all."""

from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_contract import tuning
from embedding_contract.tuning import Setting
from embedding_service.engine.starting import WarmupTables, best_batch, starting_setting

MEBIBYTE = 2.0**20
GIBIBYTE = 2.0**30


def on_cpu(**changes: float) -> WarmupTables:
    """A lane of 100 images a second beside decoders of 100 images a second and core."""
    return WarmupTables({1: 0.02, 32: 0.32}, decode_seconds=changes.get("decode", 0.01),
                        permit_bytes=changes.get("permit", 16 * MEBIBYTE))  # fmt: skip


def on_gpu(seconds: float, free: float = 60 * GIBIBYTE) -> WarmupTables:
    """A lane that takes `seconds` for 32 images, on a GPU with this much memory free."""
    return WarmupTables(
        {1: seconds / 10, 32: seconds}, decode_seconds=0.008, lane_bytes=GIBIBYTE,
        permit_bytes=16 * MEBIBYTE, free_bytes=free,
    )  # fmt: skip


def test_on_a_cpu_one_lane_and_permits_by_littles_law() -> None:
    # 200/s decoded by 2 cores, 100/s computed: together 66.7/s. One request of 40 images takes
    # 0.2 s to decode and two batches of 0.32 s. 66.7 * 0.84 / 40 = 1.4, so 2, and one for the lane.
    assert starting_setting(on_cpu(), 2.0, None) == Setting(1, 3, 2, "cpu")


def test_on_a_gpu_that_the_decoders_cannot_fill_one_lane_is_enough() -> None:
    # 16 cores decode 2 000/s, the lane computes 20 000/s.
    assert starting_setting(on_gpu(0.0016), 16.0, None).num_streams == 1


def test_on_a_gpu_that_is_kept_busy_a_second_lane_copies_meanwhile() -> None:
    assert starting_setting(on_gpu(0.016), 16.0, None).num_streams == 2


def test_a_second_lane_that_does_not_fit_is_not_suggested() -> None:
    assert starting_setting(on_gpu(0.016, free=GIBIBYTE / 2), 16.0, None).num_streams == 1


def test_permits_stay_inside_the_memory() -> None:
    slow = on_cpu(decode=1.0, permit=256 * MEBIBYTE)
    free = starting_setting(slow, 2.0, None).semaphore_size
    tight = starting_setting(slow, 2.0, 2 * GIBIBYTE).semaphore_size
    assert tight == 2 < free


def test_a_part_of_a_core_still_gets_a_thread() -> None:
    assert starting_setting(on_cpu(), 0.25, None).decode_workers == 1


def test_the_best_batch_is_where_an_image_costs_least() -> None:
    assert best_batch({1: 0.046, 8: 0.293, 16: 0.58, 32: 1.33}) == 16
    assert best_batch({1: 0.0011, 16: 0.0017, 32: 0.0023}) == 32


def test_of_batches_about_as_good_the_largest_is_taken() -> None:
    assert best_batch({1: 0.002, 8: 0.01016, 16: 0.0197, 32: 0.0397}) == 32


@given(st.dictionaries(st.integers(1, 1024), st.floats(1e-6, 1e4), min_size=1))
def test_the_best_batch_was_measured_and_none_is_much_better(table: dict[int, float]) -> None:
    best = best_batch(table)
    assert all(table[best] / best <= 1.031 * table[size] / size for size in table)


seconds = st.floats(0, 1e4)
memory = st.none() | st.floats(0, 1e13)
tables = st.builds(
    WarmupTables,
    lane_seconds=st.dictionaries(st.integers(1, 1024), seconds, min_size=1),
    decode_seconds=seconds,
    lane_bytes=st.floats(0, 1e12),
    permit_bytes=st.floats(0, 1e12),
    free_bytes=memory,
)


@settings(deadline=None)
@given(tables, st.floats(0, 1e4), memory)
def test_whatever_was_measured_the_suggestion_is_a_valid_setting(
    measured: WarmupTables, cores: float, limit: float | None
) -> None:
    found = starting_setting(measured, cores, limit)
    assert found == tuning.parse_setting(tuning.setting_to_mapping(found), "suggested")
    assert found.decode_workers >= 1
    if measured.free_bytes is None:
        assert found.num_streams == 1


@settings(deadline=None)
@given(tables, st.floats(0.1, 1e3))
def test_less_memory_never_means_more_permits(measured: WarmupTables, cores: float) -> None:
    sizes = [
        starting_setting(measured, cores, limit).semaphore_size for limit in (0.0, 1e9, 1e12, None)
    ]
    assert sizes == sorted(sizes)
