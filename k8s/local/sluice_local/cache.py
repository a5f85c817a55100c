"""The machine's cache of built programs, shared by all checkouts.

Law: a directory with a key's name is complete, always: it is made under another name and renamed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sluice_local.module import Module
from sluice_local.tree import remove_tree

_DRAFT = ".tmp-"
_FORGET_SECONDS = 30 * 24 * 3600


def cache_root(environ: Mapping[str, str]) -> Path:
    """SLUICE_CACHE, else XDG_CACHE_HOME/sluice, else ~/.cache/sluice."""
    if environ.get("SLUICE_CACHE"):
        return Path(environ["SLUICE_CACHE"]).absolute()
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or "/") / ".cache")
    return Path(base).absolute() / "sluice"


class Cache:
    """Built programs below ``root``/bin."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = root / "build.lock"
        self._bin = root / "bin"

    def directory(self, key: str) -> Path:
        """Where the programs of a key lie, or will."""
        return self._bin / key

    def has(self, module: Module, key: str) -> bool:
        """Whether all programs of a module are there under that key."""
        folder = self.directory(key)
        return all(os.access(folder / name, os.X_OK) for name in module.programs)

    def touch(self, key: str) -> None:
        """Note that a key was used, so that it is kept; another user's cache is left as it is."""
        try:
            os.utime(self.directory(key))
        except PermissionError:
            return

    @contextmanager
    def draft(self, key: str) -> Iterator[Path]:
        """A directory to build into; it becomes the key's when the body ends well.

        The caller holds ``lock``: so every other draft that is found was left by a killed build.
        """
        self._bin.mkdir(parents=True, exist_ok=True)
        self._remove_drafts()
        folder = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self._bin))
        try:
            yield folder
            folder.chmod(0o755)
            remove_tree(self.directory(key))
            os.rename(folder, self.directory(key))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def forget_old(self, now: float | None = None) -> list[str]:
        """Remove what nobody used for 30 days; the names of what went."""
        limit = (time.time() if now is None else now) - _FORGET_SECONDS
        old = [path for path in self._bin.iterdir() if path.stat().st_mtime < limit]
        for path in old:
            remove_tree(path)
        return sorted(path.name for path in old)

    def _remove_drafts(self) -> None:
        for path in self._bin.glob(f"{_DRAFT}*"):
            remove_tree(path)
