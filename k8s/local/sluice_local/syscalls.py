"""The few Linux calls that Python 3.11 does not have: unshare, setns, mount, prctl.

Law: each wrapper raises OSError whose text names the call, so a refusal can be explained exactly.
No util-linux or iproute2 is needed on the machine.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 1 << 18

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36

_FLAG_NAMES: Final = {
    CLONE_NEWUSER: "CLONE_NEWUSER",
    CLONE_NEWNS: "CLONE_NEWNS",
    CLONE_NEWNET: "CLONE_NEWNET",
    CLONE_NEWPID: "CLONE_NEWPID",
}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), call)


def flag_names(flags: int) -> str:
    """Spell CLONE_* flags the way the manual pages do, for messages."""
    return "|".join(name for flag, name in _FLAG_NAMES.items() if flags & flag) or str(flags)


def unshare(flags: int) -> None:
    """Move this process into new namespaces.

    Raises:
        OSError: the kernel refused; ``filename`` holds the call as text.
    """
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare({flag_names(flags)})")


def setns(descriptor: int, flag: int) -> None:
    """Enter the namespace behind an open /proc/PID/ns file.

    Raises:
        OSError: the kernel refused; ``filename`` holds the call as text.
    """
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(flag)), f"setns({flag_names(flag)})")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Attach a file system (see the manual); ``kind`` may be empty for a change of propagation.

    Raises:
        OSError: the kernel refused; ``filename`` holds the call as text.
    """
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(result, f"mount({kind or 'propagation'} on {target})")


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel to send this signal to the caller when its parent ends."""
    result = _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0)
    _check(result, "prctl(PR_SET_PDEATHSIG)")


def adopt_orphans() -> None:
    """Make the caller the reaper of its descendants' orphans."""
    result = _libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
    _check(result, "prctl(PR_SET_CHILD_SUBREAPER)")
