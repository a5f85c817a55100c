"""What the readers of headers raise; `probe` turns it into the answer about one image."""

from collections.abc import Iterator
from typing import Final

MAX_PARTS: Final = 32_768
"""Most segments, chunks, blocks or boxes of one image that are walked through, by us or in Python
code of Pillow. Real files have some hundreds; a file of nothing else would hold the interpreter
lock for seconds."""


class Damaged(ValueError):
    """The header cannot be that of a readable image; the text says why."""


def parts() -> Iterator[int]:
    """Count parts of a header up to MAX_PARTS.

    Raises:
        Damaged: there are more.
    """
    yield from range(MAX_PARTS)
    raise Damaged(f"it has more than {MAX_PARTS} parts")
