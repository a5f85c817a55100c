"""Silences libtiff, which writes a line to stderr for each damaged row that it decodes.

One megabyte of noise as a fax makes 60 MB of log. The failure itself is still raised by Pillow, or
the picture is decoded with its damage.
"""

import ctypes
from pathlib import Path

from PIL import _imaging  # noqa: F401 - it brings the library into the process

MAPS = Path("/proc/self/maps")


def quiet_libtiff(maps: Path = MAPS) -> int:
    """Take the handler of errors away; return how many libraries were silenced.

    Pillow offers no way to do this, so the loaded library itself is asked. Where none is found
    (another system, another build) nothing changes.
    """
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return 0
    paths = {line.split(maxsplit=5)[-1] for line in lines if "/libtiff" in line}
    return sum(map(_silence, sorted(paths)))


def _silence(path: str) -> bool:
    try:
        set_handler = ctypes.CDLL(path).TIFFSetErrorHandler
    except (OSError, AttributeError):
        return False
    set_handler.restype = ctypes.c_void_p
    set_handler.argtypes = [ctypes.c_void_p]
    set_handler(None)
    return True
