"""Live retune under load through the mounted file, swapped as the kubelet swaps it."""

import asyncio
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

from embedding_contract.endpoints import TUNING_FILE, TUNING_PATH
from embedding_contract.tuning import DecodeDevice, Setting, TuningFile, dump_tuning
from endurance.pictures import picture
from endurance.process import Resources, ServerProcess
from endurance.targets import Row, target
from endurance.wire import Client, Reply, embed_request

HOME = Setting(1, 4, 2, "cpu")
"""The setting in force when resources are compared."""
APPLY_SECONDS = 30.0
EXECUTOR_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""asyncio's own pool makes up to this many threads, when it likes. A leak makes more than that."""


class TuningVolume:
    """A folder as the kubelet makes it of a ConfigMap: `..data` links to a folder of the moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.generation = 0
        (folder / TUNING_FILE).symlink_to(Path("..data") / TUNING_FILE)

    def write(self, setting: Setting) -> int:
        """Put a new generation in place at once and whole; return its number."""
        self.generation += 1
        content = self.folder / f"..generation-{self.generation}"
        content.mkdir()
        (content / TUNING_FILE).write_text(dump_tuning(TuningFile(self.generation, setting)))
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(content.name)
        fresh.rename(self.folder / "..data")
        before = self.folder / f"..generation-{self.generation - 1}"
        if before.exists():
            (before / TUNING_FILE).unlink()
            before.rmdir()
        return self.generation


def any_setting(source: random.Random) -> Setting:
    """Return one of all the settings that a person or the tuner may ask for."""
    device: DecodeDevice = source.choice(("auto", "cpu"))
    return Setting(source.randint(1, 8), source.randint(1, 64), source.randint(0, 8), device)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it; `failed` are requests with another answer than 200 and all vectors."""

    changes: int
    requests: int
    failed: int
    rejections: float
    before: Resources
    after: Resources


def run(server: ServerProcess, volume: TuningVolume, changes: int, seed: int = 0) -> Found:
    """Change every knob at random, again and again, while clients go on asking."""
    return asyncio.run(_run(server, volume, changes, random.Random(seed)))


async def _run(
    server: ServerProcess, volume: TuningVolume, changes: int, source: random.Random
) -> Found:
    client = Client(server.port)
    request = embed_request([picture(320, 240, seed) for seed in range(2)])
    replies: list[Reply] = []
    stop = asyncio.Event()

    async def one() -> None:
        while not stop.is_set():
            replies.append(await client.ask(request))

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(one())
        # What is made once and stays, pools of threads and memory, is there after some changes.
        for _ in range(min(10, changes)):
            await in_force(server, volume.write(any_setting(source)))
        await in_force(server, volume.write(HOME))
        before = await _settled(server)
        for _ in range(changes):
            await in_force(server, volume.write(any_setting(source)))
        await in_force(server, volume.write(HOME))
        after = await _settled(server, before)
        stop.set()
    client.close()
    good = sum(
        one.status == 200 and len(json.loads(one.body)["embeddings"]) == 2 for one in replies
    )
    rejections = sum(
        server.metric(f'embedding_tuning_rejections_total{{reason="{reason}"}}')
        for reason in ("malformed", "stale", "out_of_range")
    )
    return Found(changes, len(replies), len(replies) - good, rejections, before, after)


async def in_force(server: ServerProcess, generation: int) -> None:
    """Wait until the server reports the generation."""
    async with asyncio.timeout(APPLY_SECONDS):
        while True:
            report = json.loads(await asyncio.to_thread(server.get, TUNING_PATH))
            if report["generation"] == generation:
                return
            await asyncio.sleep(0.02)


async def _settled(server: ServerProcess, wanted: Resources | None = None) -> Resources:
    """Look when retired threads had time to end; stop early once there is nothing to wait for."""
    found = server.resources()
    for _ in range(50):
        if wanted is not None and _threads(found) <= _threads(wanted):
            break
        await asyncio.sleep(0.1)
        found = server.resources()
    return found


def _threads(resources: Resources) -> int:
    return resources.threads.total()


def judge(found: Found) -> list[Row]:
    """Hold what was seen to the promises."""
    files = found.after.descriptors - found.before.descriptors
    threads = _threads(found.after) - _threads(found.before)
    grown = found.after.rss_bytes / found.before.rss_bytes - 1
    return [
        target("retune: changes through the file", "changes", 1, found.changes, ">="),
        target("retune: requests meanwhile", "requests", found.changes, found.requests, ">="),
        target("retune: requests failed", "requests", 0, found.failed, "=="),
        target("retune: files refused", "files", 0, found.rejections, "=="),
        target("retune: descriptors leaked", "descriptors", 0, files, "<="),
        target("retune: more threads", "threads", EXECUTOR_THREADS, threads, "<="),
        target("retune: memory grown", "ratio", 0.05, grown, "<="),
    ]
