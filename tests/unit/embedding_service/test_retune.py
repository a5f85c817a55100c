"""Following the tuning file."""

import asyncio
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from embedding_contract.tuning import MAX_FILE_BYTES, Setting, TuningFile, dump_tuning
from embedding_service.errors import ServerFault
from embedding_service.metrics import Instruments
from embedding_service.retune import TuningWatch
from fakes.pipeline import FakePipeline
from fakes.waiting import until
from fakes.web import settings_with

FIRST = TuningFile(5, Setting(2, 6), {"pod-b": Setting(3, 9, 1, "cpu")})


class Volume:
    """A mounted ConfigMap, changed as the kubelet changes it: one swap of the `..data` link."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._version = 0

    def put(self, content: str | bytes | TuningFile) -> None:
        text = dump_tuning(content) if isinstance(content, TuningFile) else content
        self._version += 1
        version = self.folder / f"..version-{self._version}"
        version.mkdir()
        (version / "tuning.json").write_bytes(text.encode() if isinstance(text, str) else text)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.folder / "..data")
        file = self.folder / "tuning.json"
        if not file.is_symlink():
            file.symlink_to("..data/tuning.json")


class Scene:
    def __init__(self, folder: Path, pod: str = "pod-a") -> None:
        self.volume = Volume(folder)
        self.settings = settings_with(num_streams=1, semaphore_size=4)
        self.pipeline = FakePipeline(self.settings)
        self.instruments = Instruments(CollectorRegistry())
        self.now = 100.0
        self.watch = TuningWatch(
            self.pipeline, self.instruments, directory=folder, pod_name=pod,
            initial=self.settings.initial, clock=lambda: self.now,
        )  # fmt: skip

    def put(self, content: str | bytes | TuningFile) -> None:
        """Change the file and look at it, a second later."""
        self.volume.put(content)
        self.look()

    def look(self) -> None:
        self.now += 1
        asyncio.run(self.watch.look())

    def rejections(self, reason: str) -> float:
        name = "embedding_tuning_rejections_total"
        return self.instruments.registry.get_sample_value(name, {"reason": reason}) or 0.0


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_without_a_file_the_initial_setting_stays(scene: Scene) -> None:
    scene.look()
    report = scene.watch.report
    assert report.generation is None
    assert report.setting == report.requested == Setting(1, 4)
    assert report.rejected is None
    assert report.since == 100.0


def test_a_file_is_applied_and_reported_with_what_was_asked_and_what_is_in_force(
    scene: Scene,
) -> None:
    scene.put(FIRST)
    report = scene.watch.report
    assert report.generation == 5
    assert report.requested == Setting(2, 6)
    assert report.setting == Setting(2, 6, 2, "cpu") == scene.pipeline.setting
    assert report.since == 101.0
    value = scene.instruments.registry.get_sample_value("embedding_tuning_generation")
    assert value == 5


def test_a_pod_takes_its_own_entry(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pod="pod-b")
    scene.put(FIRST)
    assert scene.watch.report.setting == Setting(3, 9, 1, "cpu")


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        ("{", "malformed", "not JSON"),
        ("\xff", "malformed", "must be an object|not JSON"),
        (b"\xff\xfe\x00", "malformed", "not JSON"),
        ('{"version": 2}', "unknown_version", "this server reads 1"),
        ('{"version": 1, "new": 1}', "unknown_field", "new"),
        (dump_tuning(TuningFile(6, Setting(0, 4))), "out_of_range", "allowed: 1 to 32"),
        (dump_tuning(TuningFile(4, Setting(1, 4))), "stale", "older"),
        (dump_tuning(TuningFile(5, Setting(9, 9))), "stale", "the same generation"),
        (" " * (MAX_FILE_BYTES + 1), "malformed", "larger than"),
    ],
)
def test_a_bad_file_keeps_the_old_setting_and_is_counted_once(
    scene: Scene, content: str | bytes, reason: str, words: str
) -> None:
    scene.put(FIRST)
    before = scene.watch.report
    scene.put(content)
    scene.look()
    scene.look()
    report = scene.watch.report
    assert (report.generation, report.setting, report.since) == (5, before.setting, before.since)
    assert scene.pipeline.setting == before.setting
    assert scene.rejections(reason) == 1
    assert report.rejected is not None
    assert any(word in report.rejected for word in words.split("|"))


def test_going_back_to_the_file_in_force_clears_the_complaint(scene: Scene) -> None:
    scene.put(FIRST)
    scene.put("{")
    scene.put(FIRST)
    assert scene.watch.report.rejected is None
    assert scene.watch.report.since == 101.0


def test_the_next_good_file_clears_the_complaint(scene: Scene) -> None:
    scene.put("{")
    scene.put(FIRST)
    assert scene.watch.report.rejected is None
    assert scene.watch.report.generation == 5


def test_each_bad_content_is_counted(scene: Scene) -> None:
    for content in ("{", "[", "{"):
        scene.put(content)
    assert scene.rejections("malformed") == 3


def test_a_file_that_goes_away_changes_nothing(scene: Scene) -> None:
    scene.put(FIRST)
    (scene.volume.folder / "tuning.json").unlink()
    scene.look()
    assert scene.watch.report.generation == 5
    assert scene.watch.report.rejected is None


def test_a_setting_that_the_device_refuses_is_a_rejection_not_a_crash(scene: Scene) -> None:
    scene.pipeline.fault = ServerFault("a new lane could not start")
    scene.put(FIRST)
    assert scene.watch.report.generation is None
    assert scene.watch.report.rejected == (
        "generation 5 cannot be applied: a new lane could not start"
    )
    assert scene.rejections("out_of_range") == 1


def test_a_file_that_cannot_be_read_is_a_rejection(scene: Scene) -> None:
    os.mkdir(scene.volume.folder / "tuning.json")
    scene.look()
    assert "cannot be read" in (scene.watch.report.rejected or "")


def test_the_watch_sees_a_change_by_itself(scene: Scene) -> None:
    async def watch() -> None:
        watching = asyncio.create_task(scene.watch.run())
        scene.volume.put(FIRST)
        await until(lambda: scene.watch.report.generation == 5)
        watching.cancel()

    asyncio.run(watch())
    assert scene.watch.stopped is None


def test_a_watch_that_breaks_says_so(scene: Scene) -> None:
    scene.pipeline.fault = KeyError("a fault of ours")

    async def watch() -> None:
        scene.volume.put(FIRST)
        with pytest.raises(KeyError):
            await scene.watch.run()

    asyncio.run(watch())
    assert scene.watch.stopped == "the tuning file is no longer watched: KeyError"
