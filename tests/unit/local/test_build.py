"""Building: once, whole or not at all, one at a time, with progress that can be believed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sluice_local import build
from sluice_local.cache import Cache, cache_root
from sluice_local.errors import BuildError
from sluice_local.lock import locked
from sluice_local.module import CONTROLPLANE, HELM, PROMETHEUS, Module
from sluice_local.progress import Reporter

# A stand-in for the compiler: it counts its builds and leaves one program where -o points.
GO = """#!/bin/sh
case $1 in
version) echo "go version go1.99.0 linux/amd64" ;;
env) echo "{folder}/gocache/$2" ;;
list) echo fmt; echo os ;;
build)
  echo run >> {folder}/builds
  echo fmt >&2
  {extra}
  while [ "$1" != -o ]; do shift; done
  case $2 in */) out=$2helm ;; *) out=$2 ;; esac
  echo program > $out; chmod +x $out ;;
esac
"""


class Bench:
    """A fake checkout's modules, a fake Go, and a cache."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.sources = folder / "sources"
        for name in ("controlplane", "prometheus", "helm"):
            (self.sources / name).mkdir(parents=True)
            (self.sources / name / "go.mod").write_text("module m\n\ngo 1.26.0\n")
        self.text = io.StringIO()
        self.cache = Cache(folder / "cache")
        self.builder = build.Builder(self.sources, self.cache, Reporter(self.text))
        monkeypatch.setenv("PATH", f"{folder / 'path'}:/usr/bin:/bin")
        self.go("")

    def go(self, extra: str) -> None:
        program = self.folder / "path" / "go"
        program.parent.mkdir(exist_ok=True)
        program.write_text(GO.format(folder=self.folder, extra=extra))
        program.chmod(0o755)

    def builds(self) -> int:
        path = self.folder / "builds"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def drafts(self) -> list[Path]:
        return list((self.cache.root / "bin").glob(".tmp-*"))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_module_is_built_once(bench: Bench) -> None:
    first = bench.builder.build([HELM, CONTROLPLANE])
    again = bench.builder.build([HELM, CONTROLPLANE])
    assert first == again
    assert os.access(first["controlplane"] / "sluice-k8s", os.X_OK)
    assert os.access(first["helm"] / "helm", os.X_OK)
    assert bench.builds() == 2


def test_changed_sources_are_built_anew_beside_the_old(bench: Bench) -> None:
    old = bench.builder.build([HELM])["helm"]
    (bench.sources / "helm" / "go.sum").write_text("other\n")
    new = bench.builder.build([HELM])["helm"]
    assert old != new
    assert old.exists()
    assert bench.builds() == 2


def test_a_failed_build_shows_the_compiler_and_leaves_nothing(bench: Bench) -> None:
    bench.go("echo 'main.go:3:1: syntax error' >&2; exit 1")
    with pytest.raises(BuildError, match=r"main\.go:3:1: syntax error"):
        bench.builder.build([HELM])
    assert bench.drafts() == []
    assert not bench.cache.has(HELM, bench.builder.keys()["helm"])
    assert "failed" in bench.text.getvalue()


@pytest.mark.parametrize(
    ("status", "output", "text"),
    [(1, "syntax error", "exit 1"), (-15, "", "killed by SIGTERM")],
)
def test_how_a_build_ended_is_said_in_words(status: int, output: str, text: str) -> None:
    assert build.how_it_ended(status, output) == text


@pytest.mark.parametrize(("status", "output"), [(-9, ""), (1, "go: link: signal: killed")])
def test_a_killed_compiler_points_at_the_memory(status: int, output: str) -> None:
    assert "out of memory" in build.how_it_ended(status, output)


def test_a_build_that_leaves_no_program_is_a_failure(bench: Bench) -> None:
    with pytest.raises(BuildError, match="left no prometheus, promtool"):
        bench.builder.build([PROMETHEUS])


def test_what_a_killed_build_left_is_removed(bench: Bench) -> None:
    left = bench.cache.root / "bin" / ".tmp-left"
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    bench.builder.build([HELM])
    assert bench.drafts() == []


def test_who_waits_for_another_build_is_told_and_does_not_build_again(bench: Bench) -> None:
    key = bench.builder.keys()["helm"]
    code = (
        "import sys; from pathlib import Path; from sluice_local.cache import Cache\n"
        "from sluice_local.lock import locked\n"
        f"cache = Cache(Path({str(bench.cache.root)!r}))\n"
        "with locked(cache.lock, wait_seconds=5, waiting=print):\n"
        "    print('locked', flush=True); sys.stdin.readline()\n"
        f"    with cache.draft({key!r}) as draft:\n"
        "        (draft / 'helm').write_text(''); (draft / 'helm').chmod(0o755)\n"
    )
    path = str(Path(build.__file__).parents[1])
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "locked\n"
    waiter = subprocess.Popen(
        [sys.executable, "-c", _WAITER.format(sources=bench.sources, cache=bench.cache.root)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiter.stderr is not None
    assert f"process {other.pid}" in waiter.stderr.readline()
    other.communicate("go\n", timeout=20)
    waiter.communicate(timeout=20)
    assert waiter.returncode == 0
    assert bench.builds() == 0


_WAITER = """
from pathlib import Path
from sluice_local.build import Builder
from sluice_local.cache import Cache
from sluice_local.module import HELM
from sluice_local.progress import Reporter
Builder(Path({str_sources!r}), Cache(Path({str_cache!r})), Reporter()).build([HELM])
""".replace("{str_sources!r}", "'{sources}'").replace("{str_cache!r}", "'{cache}'")


def test_go_tests_run_with_the_flags_of_the_build_and_their_status_comes_through(
    bench: Bench,
) -> None:
    program = bench.folder / "path" / "go"
    answer = '[ $1 = version ] && echo "go version go1.99.0 linux/amd64" && exit 0'
    program.write_text(
        f"#!/bin/sh\n{answer}\n[ $1 = env ] && echo {bench.folder}/gocache && exit 0\n"
        f'echo "$@" > {bench.folder}/words\nexit 3\n'
    )
    assert bench.builder.test(CONTROLPLANE) == 3
    words = (bench.folder / "words").read_text().split()
    assert words[0] == "test"
    assert words[-1] == "./..."
    assert "-trimpath" in words


def test_programs_that_nobody_used_for_a_month_go(bench: Bench) -> None:
    kept = bench.builder.build([HELM])["helm"]
    month = 31 * 24 * 3600
    assert bench.cache.forget_old(time.time()) == []
    assert bench.cache.forget_old(time.time() + month) == [kept.name]
    assert not kept.exists()


def test_progress_counts_packages_and_downloads() -> None:
    watch = build.Watch(total=12)
    for line in ("go: downloading k8s.io/api v0.36.2", "fmt", "k8s.io/api/core/v1"):
        watch.take(line)
    assert (watch.downloaded, watch.compiled) == (1, 2)
    assert "2 of at most 12 packages" in watch.describe("x", 3.0)


def test_a_compilers_complaint_is_not_counted_as_a_package() -> None:
    watch = build.Watch()
    watch.take("./main.go:3:1: syntax error: unexpected name")
    assert watch.compiled == 0
    assert list(watch.tail) == ["./main.go:3:1: syntax error: unexpected name"]


@pytest.mark.parametrize(
    ("cpus", "free", "expected"),
    [(2, 64 << 30, 2), (64, 8 << 30, 7), (8, 100, 1)],
)
def test_compilers_are_bounded_by_cores_and_memory(cpus: int, free: int, expected: int) -> None:
    assert build.workers(cpus, free) == expected


@pytest.mark.parametrize("module", [CONTROLPLANE, PROMETHEUS])
def test_the_build_command_names_output_and_packages(module: Module, tmp_path: Path) -> None:
    words = build.build_command(module, Path("/go"), tmp_path, 2)
    assert words[:5] == ["/go", "build", "-v", "-p", "2"]
    target = words[words.index("-o") + 1]
    assert target in {str(tmp_path / "sluice-k8s"), f"{tmp_path}/"}
    assert words[-len(module.packages) :] == list(module.packages)


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({"SLUICE_CACHE": "/a"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/h"}, "/b/sluice"),
        ({"HOME": "/h"}, "/h/.cache/sluice"),
    ],
)
def test_the_cache_is_where_the_variables_say(environ: dict[str, str], root: str) -> None:
    assert cache_root(environ) == Path(root)


def test_the_lock_is_free_after_a_build(bench: Bench) -> None:
    bench.builder.build([HELM])
    with locked(bench.cache.lock, wait_seconds=0.0, waiting=pytest.fail):
        pass
