"""Why the kernel refused a namespace, in words that lead on.

Law: pure. Facts of the machine come as arguments; `read_facts` at the end gathers them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CLONE = "kernel.unprivileged_userns_clone"
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_MAX_USER = "user.max_user_namespaces"
_MAX_NET = "user.max_net_namespaces"
_MAX_MNT = "user.max_mnt_namespaces"
_LIMITS = (_MAX_USER, _MAX_NET, _MAX_MNT)
SYSCTLS = (_CLONE, _APPARMOR, *_LIMITS)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused call."""

    call: str
    error: int


def _switches(refusal: Refusal, sysctls: Mapping[str, int]) -> list[str]:
    found = []
    if sysctls.get(_CLONE) == 0:
        found.append(f"{_CLONE} is 0: run as root `sysctl -w {_CLONE}=1`")
    if sysctls.get(_APPARMOR) == 1:
        found.append(f"{_APPARMOR} is 1: run as root `sysctl -w {_APPARMOR}=0`")
    closed = [name for name in _LIMITS if sysctls.get(name) == 0]
    found += [f"{name} is 0: run as root `sysctl -w {name}=15000`" for name in closed]
    if not found and refusal.error == errno.ENOSPC:
        limits = ", ".join(f"{name} = {sysctls[name]}" for name in _LIMITS if name in sysctls)
        found.append(f"a limit is used up ({limits}): raise it as root, or end what uses it")
    return found


def _likely(refusal: Refusal, euid: int) -> str:
    if refusal.error in {errno.EINVAL, errno.ENOSYS}:
        return "this kernel seems to be built without these namespaces"
    if euid == 0:
        return (
            "we are root, so most likely this is a container without CAP_SYS_ADMIN "
            "or with a seccomp filter that forbids it"
        )
    return (
        "no sysctl forbids it, so most likely this is a container (its seccomp filter refuses) "
        "or a security module does"
    )


def explain(refusal: Refusal, sysctls: Mapping[str, int], euid: int) -> str:
    """What was refused, why as far as can be seen, and the ways on; several lines."""
    causes = _switches(refusal, sysctls) or [_likely(refusal, euid)]
    ways = [] if euid == 0 else ["run the same command as root"]
    ways += [
        "in a container, start it with more rights (Docker: `--privileged`)",
        "use a Kubernetes cluster of your own: `helm install sluice charts/sluice`",
    ]
    lines = [
        "this machine refuses the namespaces that the local cluster lives in.",
        f"  refused: {refusal.call}: {os.strerror(refusal.error)}",
        *(f"  reason:  {cause}" for cause in causes),
        *(f"  or:      {way}" for way in ways),
    ]
    return "\n".join(lines)


def read_facts(root: Path = Path("/proc/sys")) -> dict[str, int]:
    """The switches of this machine that can forbid namespaces; missing ones are left out."""
    facts = {}
    for name in SYSCTLS:
        try:
            facts[name] = int((root / name.replace(".", "/")).read_text())
        except (OSError, ValueError):
            # A kernel without this switch does not forbid anything by it.
            continue
    return facts
