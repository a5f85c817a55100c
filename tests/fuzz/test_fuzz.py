"""Hostile bytes end in a value or in a documented error: the same cases on every run."""

import io
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from fuzz.runner import FOUND, Child
from fuzz.targets import CODES, TARGETS, Target, picture_seeds, run_picture

SECONDS = 840
"""For a machine that is busy with other things; on a quiet one the longest takes ten. A case that
hangs is ended after seconds of CPU time, long before."""


@pytest.fixture(scope="module")
def children() -> dict[str, Child]:
    """All targets side by side: they compute in processes of their own."""
    return {target.name: Child(target.name, "--cases", str(target.cases)) for target in TARGETS}


def test_there_are_ten_thousand_cases() -> None:
    assert sum(target.cases for target in TARGETS) >= 10_000


@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_hostile_bytes_give_a_value_or_a_proper_error(
    children: dict[str, Child], target: Target
) -> None:
    run = children[target.name].result(SECONDS)
    assert run.fault is None, run.lines()
    assert run.cases >= target.cases
    assert len(run.outcomes) > 1, "every case ended alike: the target is not reached"


def test_every_seed_is_a_picture() -> None:
    """The mutations start from files that are right, of every format."""
    assert {run_picture(data) for data in picture_seeds()} == {"pixels"}
    formats = {Image.open(io.BytesIO(data)).format for data in picture_seeds()}
    assert formats >= {"JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"}
    assert {"not_an_image", "unsupported_format", "too_many_pixels"} <= CODES


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("while True: pass", "hangs"),
        ("raise KeyError('odd')", "odd"),
        ("kept.append(bytes([data[0]]) * (200 << 20))", "grew"),
    ],
)
def test_a_crash_a_hang_a_fault_and_waste_are_noticed(
    code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fuzzer can fail: a target that misbehaves on purpose is reported, its input kept."""
    (tmp_path / "misbehaving.py").write_text(
        "import fuzz.child as child\n"
        "import fuzz.targets as targets\n"
        "kept = []\n"
        "def run(data):\n"
        "    if len(data) < 3 or 1 not in data:\n"
        "        return 'fine'\n"
        f"    {code}\n"
        "    return 'fine'\n"
        "bad = targets.Target('bad', lambda: (b'ab', b'cde'), run, 1)\n"
        "child.target_named = lambda name: bad\n"
        "child.CASE_CPU_SECONDS = 2.0\n"
        "child.main()\n"
    )
    monkeypatch.setattr("fuzz.runner.MODULES", (str(tmp_path), *filter(None, sys.path)))
    run = Child("bad", "--cases", "300", module="misbehaving").result(SECONDS)
    assert run.fault is not None
    assert words in run.fault
    assert run.kept is not None
    assert run.kept.parent == FOUND
    assert 1 in run.kept.read_bytes()
    os.unlink(run.kept)
