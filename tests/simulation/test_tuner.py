"""The same advance() that runs in the operator, on simulated servers: it lifts, and it holds still.

Each plant is driven from bad starts under 5 % noise a window. Judged is the simulated steady state
of the setting that it ends with, against the best of a grid over the bounds.
"""

from functools import cache

import pytest

from embedding_contract.tuning import Setting
from embedding_operator.api.tuning import TuningObjective, TuningPolicy
from simulation.plant import Plant
from simulation.world import World, best, state

POLICY = TuningPolicy(window_seconds=10)
PLANTS = {
    # Decoding eats all cores; more lanes and more permits than a few are waste.
    "cpu-bound": Plant(decode=0.02),
    # The model itself runs on two cores, as in the demo.
    "two-cores": Plant(
        cores=2, users=12, images=12, decode=0.006, kernel=0.003, kernel_batch=0.001,
        lanes_on_cpu=True,
    ),
    # One lane feeds a fifth of the GPU.
    "lane-limited": Plant(kernel_batch=0.03, kernel=0.0008, kernel_share=0.2, decode=0.002),
    # Requests fetch their images for half a second: permits are all it lacks.
    "admission-limited": Plant(fetch_request=0.5),
    # The GPU is full once two or three lanes feed it.
    "gpu-bound": Plant(cores=32, decode=0.002, kernel=0.0004, launch_batch=0.002),
}  # fmt: skip
LIGHT = Plant(users=3, think=1.0)


@cache
def ended(name: str, start: Setting) -> World:
    return World(PLANTS[name], start, POLICY).run(90)


@pytest.mark.parametrize("start", [Setting(1, 1), Setting(4, 8)], ids=["1-1", "4-8"])
@pytest.mark.parametrize("name", PLANTS)
def test_it_ends_near_the_best_setting_of_the_grid(name: str, start: Setting) -> None:
    world = ended(name, start)
    assert world.setting is not None
    share = state(world.plant, world.setting).images / best(world.plant, POLICY)
    assert share >= 0.93, (world.setting, world.memory.history)


@pytest.mark.parametrize("name", PLANTS)
def test_it_settles_and_then_holds_still(name: str) -> None:
    world = ended(name, Setting(1, 1))
    assert world.memory.settled is not None
    assert world.memory.trial is None
    assert len({outcome.setting for outcome in world.outcomes[-10:]}) == 1


@pytest.mark.parametrize("name", ["cpu-bound", "admission-limited"])
def test_one_jump_does_most_of_the_work(name: str) -> None:
    world = ended(name, Setting(1, 1))
    assert world.memory.trials <= 3
    first = world.memory.history[-1]
    assert first.verdict == "Kept"
    assert first.measured_gain is not None
    assert first.predicted_gain == pytest.approx(first.measured_gain, rel=0.35)


def test_a_light_load_is_the_clients_choice_and_changes_nothing() -> None:
    for start in (Setting(1, 1), Setting(4, 8)):
        world = World(LIGHT, start, POLICY).run(40)
        assert {outcome.setting for outcome in world.outcomes} == {start}
        assert world.memory.diagnosis is not None
        assert world.memory.diagnosis.bottleneck == "ClientLimited"


@pytest.mark.parametrize("name", ["cpu-bound", "two-cores"])
@pytest.mark.parametrize("permits", [4, 16])
def test_no_lane_is_ever_added_while_the_cpu_is_full(name: str, permits: int) -> None:
    world = World(PLANTS[name], Setting(2, permits), POLICY, seed=3).run(40)
    assert world.memory.diagnosis is not None
    assert world.memory.diagnosis.bottleneck == "CPUBound"
    assert max(outcome.setting.num_streams for outcome in world.outcomes) == 2


def test_nothing_much_is_lost_on_the_way() -> None:
    world = ended("admission-limited", Setting(1, 1))
    on_the_way = [state(world.plant, outcome.setting).images for outcome in world.outcomes]
    assert sum(on_the_way) / len(on_the_way) >= 0.85 * best(world.plant, POLICY)


def test_a_load_that_grows_threefold_opens_the_tuning_again() -> None:
    world = World(PLANTS["admission-limited"].scaled(0.05), Setting(1, 4), POLICY).run(15)
    assert world.memory.trials == 0
    world.plant = PLANTS["admission-limited"]
    world.run(40)
    assert world.memory.trials > 0
    assert world.setting is not None
    gained = state(world.plant, world.setting).images
    assert gained >= 0.9 * best(world.plant, POLICY)


def test_an_objective_that_holds_is_not_broken_for_throughput() -> None:
    policy = POLICY.model_copy(update={"objective": TuningObjective(p95_seconds=2.0)})
    world = World(PLANTS["cpu-bound"].scaled(0.3), Setting(1, 2), policy).run(40)
    assert world.setting is not None
    times = state(world.plant, world.setting).times
    assert times[int(0.95 * len(times))] <= 2.0


def test_in_the_demo_a_verdict_comes_within_two_minutes() -> None:
    policy = TuningPolicy(window_seconds=6, windows=3)
    world = World(PLANTS["two-cores"], Setting(1, 1), policy)
    begun = world.now
    while not world.memory.history:
        world.tick()
        assert world.now - begun <= 120
    assert world.memory.history[0].message
