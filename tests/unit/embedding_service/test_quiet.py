"""libtiff's own lines do not reach the log."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from embedding_service.quiet import quiet_libtiff
from fuzz.runner import ROOT

DECODE = """
import sys
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.profile import Profile
from embedding_service.quiet import quiet_libtiff
if sys.argv[2] == "quiet":
    quiet_libtiff()
print(prepare(open(sys.argv[1], "rb").read(), Profile(size=(32, 32)), 10**6).shape)
"""


def fax() -> bytes:
    """A damaged fax of 5000 rows."""
    noise = bytes(number * 73 % 251 for number in range(9000))
    values = {256: 100, 257: 5000, 258: 1, 259: 3, 262: 0, 273: 122, 277: 1, 278: 5000, 279: 9000}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4) + noise


def written(path: Path, how: str) -> bytes:
    command = [sys.executable, "-c", DECODE, str(path), how]
    found = subprocess.run(
        command, capture_output=True, check=True, env={"PYTHONPATH": str(ROOT / "service")}
    )
    assert found.stdout == b"(32, 32, 3)\n"
    return found.stderr


def test_a_damaged_fax_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "fax").write_bytes(fax())
    if b"line" not in written(tmp_path / "fax", "loud"):
        pytest.skip("this libtiff is silent by itself")
    assert written(tmp_path / "fax", "quiet") == b""


def test_without_the_library_nothing_happens(tmp_path: Path) -> None:
    assert quiet_libtiff(tmp_path / "absent") == 0
    (tmp_path / "maps").write_text("7f00-7f01 r-xp 00000000 00:00 0   /nowhere/libtiff.so.6\n")
    assert quiet_libtiff(tmp_path / "maps") == 0
