"""Building the Go modules once a machine, with progress.

Law: one build at a time on a machine (a lock), safe against being killed (cache.py), and nothing is
built that is there already.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sluice_local import syscalls, toolchain
from sluice_local.cache import Cache
from sluice_local.errors import BuildError
from sluice_local.lock import locked
from sluice_local.module import MODULES, Module, module_key
from sluice_local.progress import Reporter

_WAIT_SECONDS = 3600.0
_BYTES_PER_WORKER = 1_200_000_000
_LAST_LINES = 40


@dataclass(slots=True)
class Watch:
    """Counts what `go build -v` and `go list` say."""

    total: int = 0
    """Packages that the programs consist of; 0 while unknown."""
    compiled: int = 0
    downloaded: int = 0
    last: str = ""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))

    def take(self, line: str) -> None:
        """Note one line of output."""
        if line.startswith("go: downloading "):
            self.downloaded += 1
            self.last = line.removeprefix("go: downloading ").split(" ")[0]
            return
        self.tail.append(line)
        if line and " " not in line:
            self.compiled += 1
            self.last = line

    def describe(self, title: str, seconds: float) -> str:
        """Where the build is, in one line."""
        if not self.compiled and not self.downloaded:
            return f"{title}: {seconds:.0f} s"
        if not self.compiled:
            return f"{title}: {seconds:.0f} s, {self.downloaded} modules fetched {self.last}"
        # Packages that an earlier build left in Go's own cache are never named.
        of = f" of at most {self.total}" if self.total else ""
        return f"{title}: {seconds:.0f} s, {self.compiled}{of} packages compiled {self.last}"


def workers(cpus: int, free_bytes: int) -> int:
    """How many compilers may run at once: bounded by cores and by memory."""
    return max(1, min(cpus, free_bytes // _BYTES_PER_WORKER))


def free_memory() -> int:
    """MemAvailable of this machine in bytes; without the file, enough for one compiler."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return _BYTES_PER_WORKER
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return _BYTES_PER_WORKER


def build_command(module: Module, go: Path, output: Path, parallel: int) -> list[str]:
    """The command line of one module's build."""
    # A module's own main is named after its program; the others keep their package's name.
    target = output / module.programs[0] if module.packages == (".",) else f"{output}/"
    flags = ["-v", "-p", str(parallel), *module.flags]
    return [str(go), "build", *flags, "-o", str(target), *module.packages]


@dataclass(frozen=True, slots=True)
class _Task:
    """What the commands of one module's build share."""

    source: Path
    env: dict[str, str]
    title: str
    begin: float
    """time.monotonic() of the start."""


class Builder:
    """Builds the modules of one checkout into the machine's cache."""

    def __init__(self, sources: Path, cache: Cache, report: Reporter) -> None:
        self._sources = sources
        self._cache = cache
        self._report = report
        self._toolchain: tuple[Path, dict[str, str]] | None = None

    def keys(self, modules: Sequence[Module] = MODULES) -> dict[str, str]:
        """Module name -> key of what its files build to now."""
        return {module.name: module_key(module, self._sources / module.name) for module in modules}

    def build(self, modules: Sequence[Module] = MODULES) -> dict[str, Path]:
        """Make sure that the programs of these modules are there.

        Returns:
            Module name -> directory with its programs.

        Raises:
            BuildError: with the last lines of the compiler.
            BusyError: another build holds the lock for more than an hour.
        """
        keys = self.keys(modules)
        missing = [m for m in modules if not self._cache.has(m, keys[m.name])]
        if missing:
            with locked(self._cache.lock, wait_seconds=_WAIT_SECONDS, waiting=self._wait):
                for module in missing:
                    if not self._cache.has(module, keys[module.name]):
                        self._build_one(module, keys[module.name])
                self._cache.forget_old()
        for key in keys.values():
            self._cache.touch(key)
        return {name: self._cache.directory(key) for name, key in keys.items()}

    def test(self, module: Module) -> int:
        """Run a module's own Go tests, their output as it comes; the exit status of `go test`.

        Raises:
            BuildError: no Go could be found or installed.
        """
        go, env = self._go()
        # The flags of the build, so that what it compiled is used again. No vet: it would analyse
        # all of Kubernetes for minutes.
        parallel = workers(len(os.sched_getaffinity(0)), free_memory())
        words = [str(go), "test", "-vet=off", "-p", str(parallel), "-timeout", "300s"]
        words += [*module.flags, "./..."]
        return subprocess.run(
            words, cwd=self._sources / module.name, env=env, check=False
        ).returncode

    def _wait(self, owner: str) -> None:
        self._report.say(f"  another build is running ({owner}); waiting for it")

    def _build_one(self, module: Module, key: str) -> None:
        go, env = self._go()
        task = _Task(self._sources / module.name, env, module.title, time.monotonic())
        with self._report.step(f"build {module.title}"), self._cache.draft(key) as draft:
            listing = [str(go), "list", "-deps", *module.flags, *module.packages]
            watch = Watch(total=self._run(listing, task, Watch()))
            parallel = workers(len(os.sched_getaffinity(0)), free_memory())
            self._run(build_command(module, go, draft, parallel), task, watch)
            lost = [name for name in module.programs if not (draft / name).is_file()]
            if lost:
                raise BuildError(f"the build of {module.name} left no {', '.join(lost)}")

    def _go(self) -> tuple[Path, dict[str, str]]:
        if self._toolchain is None:
            needed = max(
                toolchain.required_version((self._sources / m.name / "go.mod").read_text())
                for m in MODULES
            )
            go = toolchain.find_go(needed, self._cache.root, self._report.say)
            env = toolchain.environment(go, self._cache.root, os.environ)
            self._toolchain = go, env
        return self._toolchain

    def _run(self, command: list[str], task: _Task, watch: Watch) -> int:
        process = subprocess.Popen(
            command,
            cwd=task.source,
            env=task.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_us,  # noqa: PLW1509  there are no threads here
        )
        assert process.stdout is not None
        try:
            for line in _lines(process.stdout.fileno()):
                if line is not None:
                    watch.take(line)
                self._report.moving(watch.describe(task.title, time.monotonic() - task.begin))
        except BaseException:
            process.send_signal(signal.SIGINT)
            raise
        finally:
            status = process.wait()
            process.stdout.close()
        if status != 0:
            lines = "\n".join(watch.tail)
            end = how_it_ended(status, lines)
            raise BuildError(f"$ {' '.join(command)}   (in {task.source})\n{lines}\n{end}")
        return watch.compiled


def how_it_ended(status: int, output: str) -> str:
    """A failed build's end in words; a killed compiler most often means too little memory."""
    text = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit {status}"
    if status == -signal.SIGKILL or "signal: killed" in output:
        text += "; most likely the machine ran out of memory: it needs about 4 GB free"
    return text


def _lines(descriptor: int) -> Iterator[str | None]:
    """Lines of a pipe as they come; None when a second passes without one."""
    rest = b""
    while True:
        if not select.select([descriptor], [], [], 1.0)[0]:
            yield None
            continue
        chunk = os.read(descriptor, 65536)
        if not chunk:
            break
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _die_with_us() -> None:
    # A killed `build` must not leave a compiler behind that nobody waits for.
    syscalls.die_with_parent(signal.SIGINT)
