"""What the readers of headers raise; `probe` turns it into the answer about one image."""

from typing import Final

MAX_PARTS: Final = 32_768
"""Most segments, chunks, blocks or boxes of one image that are walked through, by us or in Python
code of Pillow. Real files have some hundreds; a file of nothing else would hold the interpreter
lock for seconds."""


class Damaged(ValueError):
    """The header cannot be that of a readable image; the text says why."""


def too_many() -> Damaged:
    """Return the error of a header of more than MAX_PARTS parts."""
    return Damaged(f"it has more than {MAX_PARTS} parts")
