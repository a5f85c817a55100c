"""Many changes of every knob under load: no request fails and nothing is left behind."""

import asyncio
import json
import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client import CollectorRegistry

from embedding_contract.tuning import Setting, parse_tuning
from embedding_service.engine.pipeline import Pipeline, build_pipeline
from embedding_service.metrics import Instruments
from embedding_service.web.app import create_app
from embedding_service.web.serving import Serving
from endurance.pictures import picture
from endurance.process import ServerProcess
from endurance.retuning import HOME, TuningVolume, any_setting, judge, run
from endurance.wire import embed_request
from fakes.pipeline import FakePipeline
from fakes.room import ask, simulated_web
from fakes.waiting import until
from fakes.web import FixedReporter, Web, settings_with

CHANGES = 1000
REAL_CHANGES = 200
"""The real engine's lanes cost more; `python -m endurance retune` makes more of them."""
IMAGES = [picture(64, 48, seed) for seed in range(2)]


def tasks() -> int:
    """Count this process's threads as the kernel does: torch's helpers too."""
    return len(os.listdir("/proc/self/task"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def engine_threads() -> Counter[str]:
    names = [thread.name.partition("-")[0] for thread in threading.enumerate()]
    return Counter(name for name in names if name in ("lane", "decode", "texts"))


async def under_load(web: Web, pipeline: Pipeline, changes: int) -> None:
    """Change the setting again and again while four clients ask without a pause."""
    # asyncio's own pool makes its threads when it likes; one is enough here, and can be counted.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    source = random.Random(0)
    app = create_app(web.serving)
    request = embed_request(IMAGES)
    stop = asyncio.Event()
    answers: Counter[int | None] = Counter()

    async def client() -> None:
        while not stop.is_set():
            asked = ask(web, request, len(IMAGES), app)
            assert asked.task is not None
            await asked.task
            answers[asked.status] += 1
            assert len(json.loads(asked.body)["embeddings"]) == len(IMAGES)

    async def change(count: int) -> None:
        for _ in range(count):
            await asyncio.to_thread(pipeline.retune, any_setting(source))
        await asyncio.to_thread(pipeline.retune, HOME)
        await until(lambda: engine_threads() == {"lane": 1, "decode": 2, "texts": 1}, 20)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(client())
        await change(30)  # what is made once and stays is there now
        threads, files = tasks(), descriptors()
        await change(changes)
        await until(lambda: tasks() <= threads, 20)
        assert descriptors() <= files
        stop.set()
    assert set(answers) == {200}
    assert pipeline.setting == HOME
    assert pipeline.admission.in_flight == 0
    ring = pipeline._parts.ring
    await until(lambda: ring.free == ring.count)


def drive(web: Web, pipeline: Pipeline, changes: int) -> None:
    async def run() -> None:
        try:
            async with asyncio.timeout(120):
                await under_load(web, pipeline, changes)
        finally:
            await pipeline.close()

    asyncio.run(run())
    assert not engine_threads()


def test_a_thousand_changes_on_simulated_lanes() -> None:
    web, pipeline = simulated_web(decode_workers=2)
    drive(web, pipeline, CHANGES)


def test_many_changes_on_the_real_engine() -> None:
    settings = settings_with(model="sluice-tiny", pretrained="random:0", device="cpu", max_batch=4)
    instruments = Instruments(CollectorRegistry())
    pipeline = build_pipeline(settings, instruments)
    serving = Serving(settings, instruments)
    serving.serve(pipeline, FixedReporter(settings))
    web = Web(settings, serving, FakePipeline(settings), instruments)
    drive(web, pipeline, REAL_CHANGES)


def test_changes_through_the_mounted_file_reach_the_real_process(tmp_path: Path) -> None:
    volume = TuningVolume(tmp_path)
    volume.write(HOME)
    with ServerProcess(TUNING_DIRECTORY=tmp_path) as server:
        found = run(server, volume, changes=3)
    assert (found.failed, found.rejections) == (0, 0)
    assert found.requests > 0
    facts = [row for row in judge(found) if "descriptors" in row.what or "threads" in row.what]
    assert len(facts) == 2
    assert all(row.met for row in facts), facts


def test_the_volume_is_swapped_at_once_as_the_kubelet_does(tmp_path: Path) -> None:
    volume = TuningVolume(tmp_path)
    for streams in (1, 2, 3):
        generation = volume.write(Setting(streams, 4))
        found = parse_tuning((tmp_path / "tuning.json").read_bytes())
        assert (found.generation, found.default.num_streams) == (generation, streams)
    assert len(list(tmp_path.glob("..generation-*"))) == 1
