"""Weighs files: each is prepared in a process of its own. python -m bombs.weigh prints JSON.

The process is forked when everything is loaded, so that its peak is that of the file alone.
"""

import json
import os
import resource
import signal
import sys
from dataclasses import asdict, dataclass
from typing import Final

from PIL import Image

from bombs.bombs import MAX_PIXELS, PIXELS, bombs, yardsticks
from embedding_service.errors import ImageRejected
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.profile import Profile
from fuzz.child import end_with_parent
from parity.pictures import encoded

CPU_SECONDS: Final = 20.0
"""A file that takes longer hangs."""
ADDRESS_SPACE: Final = 6 << 30


@dataclass(frozen=True)
class Weight:
    """What one file cost. `outcome` is a word, or the name of the signal that ended it."""

    outcome: str
    growth_bytes: int
    cpu_seconds: float


def weigh(data: bytes, base_bytes: int) -> Weight:
    """Prepare one file in a child process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        os.write(writer, _outcome(data).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        outcome = answer.read()
    _, status, used = os.wait4(child, 0)
    if os.WIFSIGNALED(status):
        outcome = signal.Signals(os.WTERMSIG(status)).name
    return Weight(outcome, used.ru_maxrss * 1024 - base_bytes, used.ru_utime + used.ru_stime)


def _outcome(data: bytes) -> str:
    try:
        prepare(data, Profile(size=(224, 224)), MAX_PIXELS)
    except ImageRejected as rejected:
        return rejected.failure.code
    except BaseException as error:  # noqa: BLE001 - it is the finding
        return f"{type(error).__name__}: {error}"
    return PIXELS


def main() -> None:
    """Weigh everything."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    end_with_parent()
    files = {name: bomb.data for name, bomb in bombs().items()}
    legitimate = yardsticks()
    tiny = encoded(Image.new("RGB", (1, 1)), "PNG")
    base = weigh(tiny, 0).growth_bytes
    report = {
        "yardsticks": {name: asdict(weigh(data, base)) for name, data in legitimate.items()},
        "bombs": {name: asdict(weigh(data, base)) for name, data in files.items()},
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
