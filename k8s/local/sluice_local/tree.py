"""Removing a directory tree that pods and overlay mounts have been in.

Law: it never follows links and never leaves the tree.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def _open_up(root: Path) -> None:
    # An overlay's work folder has mode 000, and a volume may be read-only: its owner may change it.
    for folder, names, _ in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
                os.chmod(path, 0o700)


def remove_tree(root: Path) -> None:
    """Remove ``root`` and everything below it; nothing happens when it is missing.

    Raises:
        OSError: something in it belongs to someone else.
    """
    if not root.is_dir() or root.is_symlink():
        root.unlink(missing_ok=True)
        return
    os.chmod(root, 0o700)
    _open_up(root)
    shutil.rmtree(root)
