#!/usr/bin/env python3
"""One command for the cluster on this machine: build, up, down, status, logs, kubectl, helm, run.

Law: it parses words and calls one thing. README.md beside it says what the cluster is and is not.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from sluice_local import component, holder, logfile, overview, relay, shell, shutdown, startup
from sluice_local.build import Builder
from sluice_local.cache import Cache, cache_root
from sluice_local.component import Programs
from sluice_local.control import Control
from sluice_local.errors import LocalClusterError
from sluice_local.layout import Layout
from sluice_local.lock import locked
from sluice_local.module import CONTROLPLANE, MODULES
from sluice_local.namespaces import Plan
from sluice_local.progress import Reporter

_LOCK_SECONDS = 1800.0
_STOP_SECONDS = 3.0
# Everything after these words belongs to another program, options included.
_PASS_ON = ("kubectl", "helm", "run")


class Command:
    """The subcommands, one method each; a method's result is the exit status."""

    def __init__(self) -> None:
        self.layout = Layout.of_this_checkout()
        self.report = Reporter()
        sources = Path(__file__).resolve().parent
        self.builder = Builder(sources, Cache(cache_root(os.environ)), self.report)

    def build(self, options: argparse.Namespace) -> int:
        """Build the programs into the machine's cache."""
        wanted = [m for m in MODULES if not options.modules or m.name in options.modules]
        for name, directory in self.builder.build(wanted).items():
            print(f"{name}: {directory}")
        return 0

    def test(self, options: argparse.Namespace) -> int:
        """Run the Go tests of the control plane's module."""
        return self.builder.test(CONTROLPLANE)

    def up(self, options: argparse.Namespace) -> int:
        """Bring the cluster up, or whatever of it is down; wait until it is usable."""
        with self._locked():
            startup.Startup(self.layout, self.builder, self.report).run()
        return 0

    def down(self, options: argparse.Namespace) -> int:
        """Stop the cluster and remove its state; logs stay."""
        with self._locked():
            shutdown.down(self.layout, self.report)
        return 0

    def status(self, options: argparse.Namespace) -> int:
        """Show components, node and how to reach things; 0 all runs, 1 not all, 3 no cluster."""
        return overview.show(self.layout)

    def start(self, options: argparse.Namespace) -> int:
        """Start one component that is down, and wait until it is ready."""
        with self._locked():
            programs = Programs.of(self.builder.build())
            startup.Startup(self.layout, self.builder, self.report).start(options.name, programs)
        return 0

    def stop(self, options: argparse.Namespace) -> int:
        """Stop one component; the others go on."""
        with self._locked(), self.report.step(f"stop {options.name}"):
            Control(self.layout).stop([options.name], _STOP_SECONDS)
        return 0

    def restart(self, options: argparse.Namespace) -> int:
        """Stop and start one component."""
        self.stop(options)
        return self.start(options)

    def logs(self, options: argparse.Namespace) -> int:
        """Print the end of a component's log; -f goes on."""
        path = self.layout.log_of(options.name)
        if not path.exists():
            raise LocalClusterError(f"no log yet: {path}")
        for line in logfile.last_lines(path, options.lines):
            print(line)
        if options.follow:
            for text in logfile.follow(path, going=lambda: True):
                sys.stdout.write(text)
                sys.stdout.flush()
        return 0

    def env(self, options: argparse.Namespace) -> int:
        """Print the variables that `run` sets; their addresses answer only inside."""
        for name, value in shell.cluster_variables(self.layout).items():
            print(f"export {name}={shlex.quote(value)}")
        print(f'export PATH={shlex.quote(str(self.layout.links))}:"$PATH"')
        return 0

    def relay(self, options: argparse.Namespace) -> int:
        """Show one address of the cluster on the host's 127.0.0.1 until interrupted."""
        relay.relay(self.layout, options.port, relay.parse_target(options.target))
        return 0

    def hold(self, options: argparse.Namespace) -> int:
        """Be the holder process (`up` starts it)."""
        plan = Plan(user=options.user, pid=options.pid)
        return holder.main(self.layout.state, self.layout.mark, plan, options.ready)

    def _locked(self) -> AbstractContextManager[None]:
        def waiting(owner: str) -> None:
            self.report.say(f"  {owner} is busy with this cluster; waiting for it")

        return locked(self.layout.lock, wait_seconds=_LOCK_SECONDS, waiting=waiting)


def _component(text: str) -> str:
    name = component.full_name(text)
    if name is None:
        raise argparse.ArgumentTypeError(f"no component {text!r}: {', '.join(component.ORDER)}")
    return name


def _log_name(text: str) -> str:
    return text if text in {"holder", "network", "pki"} else _component(text)


def parser() -> argparse.ArgumentParser:
    """The command line, except what `kubectl`, `helm` and `run` pass on."""
    top = argparse.ArgumentParser(
        prog="cluster.py", description="A Kubernetes cluster on this machine, without root."
    )
    words = top.add_subparsers(dest="word", required=True, metavar="COMMAND")
    build = words.add_parser("build", help="build the programs once into the machine's cache")
    build.add_argument("modules", nargs="*", choices=[*(m.name for m in MODULES), []])
    words.add_parser("test", help="run the Go tests of the process node and its parts")
    words.add_parser("up", help="bring the cluster up; twice is the same as once")
    words.add_parser("down", help="stop it and remove its state")
    words.add_parser("status", help="components, node, how to reach things")
    for word in ("start", "stop", "restart"):
        one = words.add_parser(word, help=f"{word} one component")
        one.add_argument("name", type=_component, metavar="COMPONENT")
    logs = words.add_parser("logs", help="a component's log")
    logs.add_argument("name", type=_log_name, metavar="COMPONENT")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    logs.add_argument("-n", "--lines", type=int, default=100, help="how many (default 100)")
    words.add_parser("kubectl", help="kubectl ARGS... in the cluster", add_help=False)
    words.add_parser("helm", help="helm ARGS... in the cluster", add_help=False)
    words.add_parser("run", help="CMD ARGS... inside the cluster's namespaces", add_help=False)
    words.add_parser("env", help="the variables that `run` sets")
    door = words.add_parser("relay", help="one address of the cluster on 127.0.0.1:PORT")
    door.add_argument("port", type=int)
    door.add_argument("target", metavar="HOST:PORT")
    hold = words.add_parser("hold")
    hold.add_argument("--ready", type=int, required=True)
    hold.add_argument("--user", action="store_true")
    hold.add_argument("--pid", action="store_true")
    return top


def main(words: Sequence[str]) -> int:
    """Run one command line; its exit status."""
    command = Command()
    try:
        if words and words[0] in _PASS_ON:
            rest = list(words[1:])
            if words[0] == "run":
                rest = rest[1:] if rest[:1] == ["--"] else rest
                if not rest:
                    parser().error("run what?")
            else:
                rest = [str(command.layout.links / words[0]), *rest]
            shell.run(command.layout, rest)
        options = parser().parse_args(words)
        status: int = getattr(command, options.word)(options)
    except LocalClusterError as error:
        print(f"cluster.py: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"cluster.py: {error.filename or words[0]}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cluster.py: interrupted", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
