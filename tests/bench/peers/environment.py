"""Environments of the peers: built once with uv from pins into the machine's cache."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PINS: Final = {"infinity-emb": "infinity.txt", "litserve": "litserve.txt"}
_READY: Final = ".ready"
_LIMIT_SECONDS: Final = 1800


class PeerMissing(RuntimeError):
    """A peer could not be installed; the text says why."""


def cache_root(environ: Mapping[str, str]) -> Path:
    """SLUICE_CACHE, else XDG_CACHE_HOME/sluice, else ~/.cache/sluice, as the Makefile has it."""
    if environ.get("SLUICE_CACHE"):
        return Path(environ["SLUICE_CACHE"]).absolute()
    base = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base).absolute() / "sluice"


def environment(peer: str) -> Path:
    """Return the folder of the peer's environment; it is built when it is missing.

    Raises:
        PeerMissing: it could not be built.
    """
    pins = Path(__file__).parent / PINS[peer]
    key = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache_root(os.environ) / f"peers-{key}"
    if not (folder / _READY).exists():
        print(f"building the environment of {peer} (minutes, up to 6 GB) ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        uv = _uv()
        _run([uv, "venv", "-q", "--python", sys.executable, str(folder)], peer)
        python = str(folder / "bin" / "python")
        _run([uv, "pip", "install", "-q", "--python", python, "-r", str(pins)], peer)
        (folder / _READY).touch()
    return folder


def versions(peer: str, names: tuple[str, ...]) -> str:
    """Return `name version, ...` of packages as they are pinned."""
    lines = (Path(__file__).parent / PINS[peer]).read_text().splitlines()
    pinned = dict(line.partition(" ;")[0].split("==") for line in lines if "==" in line)
    return ", ".join(f"{name} {pinned[name]}" for name in names if name in pinned)


def _uv() -> str:
    own = cache_root(os.environ) / "uv" / "bin" / "uv"
    found = shutil.which("uv") or (str(own) if own.exists() else None)
    if found is None:
        raise PeerMissing("uv is not here; run: make setup")
    return found


def _run(command: list[str], peer: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"{peer}: not installed within {_LIMIT_SECONDS // 60} minutes") from None
    if done.returncode:
        words = " ".join(done.stderr.split())[-400:]
        raise PeerMissing(f"{peer} cannot be installed: {words}")
