"""Images by name out of one local folder, which no name may leave, links included.

Reads run in threads of their own: a slow volume must not stop the event loop.
"""

import asyncio
import os
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageFailure, ImageRejected

THREADS: Final = 16
"""Threads that read; they wait for a disk or a network volume, not for the CPU."""
STRIPES: Final = 4
"""Threads that one request may use at once: a big request does not push others aside."""
MAX_NAME_CHARACTERS: Final = 1024


class FolderSource:
    """Reads images below `folder`. `fetched` hears the seconds that each read took."""

    def __init__(
        self,
        folder: Path,
        max_image_bytes: int,
        fetched: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_image_bytes
        self._fetched = fetched
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")

    async def read(self, names: Sequence[str]) -> list[bytes | ImageFailure]:
        """Read the named images; order is kept and one bad name fails alone."""
        loop = asyncio.get_running_loop()
        stripes = min(STRIPES, len(names))
        jobs = [
            loop.run_in_executor(self._threads, self._read_all, names[number::stripes])
            for number in range(stripes)
        ]
        found: list[bytes | ImageFailure] = [b""] * len(names)
        for number, images in enumerate(await asyncio.gather(*jobs)):
            found[number::stripes] = images
        return found

    def close(self) -> None:
        """Let the threads end; a read that hangs in the kernel is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read_all(self, names: Sequence[str]) -> list[bytes | ImageFailure]:
        root = os.path.realpath(self._folder)
        return [self._read_one(root, name) for name in names]

    def _read_one(self, root: str, name: str) -> bytes | ImageFailure:
        started = time.perf_counter()
        try:
            return self._open_and_read(_inside(root, name), root)
        except ImageRejected as rejected:
            return rejected.failure
        except FileNotFoundError:
            return ImageFailure(ImageErrorCode.NOT_FOUND, "no such file in the image folder")
        except NotADirectoryError:
            return ImageFailure(ImageErrorCode.NOT_FOUND, "no such file in the image folder")
        except OSError as error:
            reason = f"the file cannot be read: {error.strerror}"
            return ImageFailure(ImageErrorCode.UPSTREAM_ERROR, reason)
        finally:
            self._fetched(time.perf_counter() - started)

    def _open_and_read(self, path: str, root: str) -> bytes:
        # NONBLOCK: opening a pipe must not wait for a writer. NOFOLLOW: the path is resolved, so
        # a link in its place was put there a moment ago.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(path, flags)
        try:
            size = self._check(handle, root)
            return _read_to_end(handle, size, self._max_bytes)
        finally:
            os.close(handle)

    def _check(self, handle: int, root: str) -> int:
        """Look at what was really opened, and return its size.

        Names can change between a look and an open.
        """
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise ImageRejected(ImageErrorCode.FORBIDDEN_SOURCE, "the name is not a regular file")
        if facts.st_size > self._max_bytes:
            raise _too_large(facts.st_size, self._max_bytes)
        opened = f"/proc/self/fd/{handle}"
        if os.path.islink(opened) and not _below(root, os.readlink(opened)):
            raise _outside()
        return facts.st_size


def check_name(name: str) -> None:
    """Refuse a name that cannot lie inside a folder; links are not looked at here.

    Raises:
        ImageRejected: the name is empty, absolute, too long, has `..` or a NUL.
    """
    if not name or "\0" in name or len(name) > MAX_NAME_CHARACTERS:
        raise ImageRejected(
            ImageErrorCode.FORBIDDEN_SOURCE,
            f"a name has 1 to {MAX_NAME_CHARACTERS} characters and no NUL",
        )
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        raise ImageRejected(
            ImageErrorCode.FORBIDDEN_SOURCE, "the name has characters that no file name has"
        ) from None
    if name.startswith("/") or ".." in name.split("/"):
        raise ImageRejected(
            ImageErrorCode.FORBIDDEN_SOURCE, "a name is relative to the image folder, without .."
        )


def _inside(root: str, name: str) -> str:
    """Return the path of `name` with every link resolved; it lies below `root`."""
    check_name(name)
    path = os.path.realpath(os.path.join(root, name))
    if not _below(root, path):
        raise _outside()
    return path


def _below(root: str, path: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")


def _read_to_end(handle: int, size: int, max_bytes: int) -> bytes:
    """Read a file of `size` bytes; one that grows while it is read may not pass the limit."""
    pieces: list[bytes] = []
    total = 0
    while piece := os.read(handle, max(size - total + 1, 65_536)):
        pieces.append(piece)
        total += len(piece)
        if total > max_bytes:
            raise _too_large(total, max_bytes)
    return b"".join(pieces)


def _too_large(size: int, max_bytes: int) -> ImageRejected:
    return ImageRejected(
        ImageErrorCode.TOO_LARGE, f"the image has {size} bytes, the limit is {max_bytes}"
    )


def _outside() -> ImageRejected:
    return ImageRejected(ImageErrorCode.FORBIDDEN_SOURCE, "the name leads out of the image folder")
