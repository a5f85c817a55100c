"""Running a person's command inside the cluster.

Law: the command sees its own working directory, environment, terminal and signals as if it had been
started plainly, and its exit status comes through.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from sluice_local import addresses, component, mark, namespaces, syscalls
from sluice_local.control import Control
from sluice_local.layout import Layout

_PASSED = {signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT}
_PASSED |= {signal.SIGUSR1, signal.SIGUSR2}


def cluster_variables(layout: Layout) -> dict[str, str]:
    """The variables that make tools find the cluster; PATH is not among them."""
    return {
        "KUBECONFIG": str(layout.kubeconfig),
        "KUBECACHEDIR": str(layout.state / "kubectl-cache"),
        "HELM_CACHE_HOME": str(layout.state / "helm" / "cache"),
        "HELM_CONFIG_HOME": str(layout.state / "helm" / "config"),
        "HELM_DATA_HOME": str(layout.state / "helm" / "data"),
        "SLUICE_PROMETHEUS_ADDRESS": addresses.PROMETHEUS_URL,
    }


def environment(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    """A person's environment with the cluster's variables and tools in front."""
    env = component.without_proxies(environ)
    env.update(cluster_variables(layout))
    env["PATH"] = f"{layout.links}:{environ.get('PATH', os.defpath)}"
    return env


def run(layout: Layout, words: Sequence[str]) -> NoReturn:
    """Become ``words``, run inside the cluster; never returns.

    Raises:
        NotRunningError: there is no cluster.
        OSError: the namespaces cannot be entered.
    """
    env = environment(layout, os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    if mark.inside(layout.mark):
        _execute(words, env)
    namespaces.Door.of(Control(layout).holder_pid()).enter()
    sys.exit(_run_child(words, env))


def _execute(words: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    namespaces.default_signals()
    try:
        os.execvpe(words[0], list(words), env)  # noqa: S606  the person's own command
    except FileNotFoundError:
        print(f"cluster.py: {words[0]}: command not found", file=sys.stderr)
        status = 127
    except OSError as error:
        print(f"cluster.py: {words[0]}: {error.strerror}", file=sys.stderr)
        status = 126
    os._exit(status)


def _run_child(words: Sequence[str], env: Mapping[str, str]) -> int:
    watched = _PASSED | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    child = os.fork()
    if child == 0:
        syscalls.die_with_parent(signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _execute(words, env)
    while True:
        news = signal.sigwaitinfo(watched)
        if news.si_signo == signal.SIGCHLD:
            pid, raw = os.waitpid(child, os.WNOHANG)
            if pid:
                return _exit_status(os.waitstatus_to_exitcode(raw), before)
        # A terminal's Ctrl-C reaches the child by itself (it comes from the kernel, code > 0).
        elif news.si_code <= 0:
            os.kill(child, news.si_signo)


def _exit_status(status: int, mask: set[signal.Signals | int]) -> int:
    if status >= 0:
        return status
    # End the way the command ended, so that a shell sees the same.
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.kill(os.getpid(), -status)
    return 128 - status
