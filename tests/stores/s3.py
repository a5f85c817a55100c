"""moto's S3 server, out of packages of its own: they do not fit the pins of this project.

They are installed once into the machine's cache, under a name that is made of their pins.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sluice_local.cache import cache_root

from stores.running import free_port, running

PACKAGES = Path(__file__).with_name("s3-packages.txt")
INSTALL_SECONDS = 280
ACCESS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "sesame", "AWS_REGION": "us-east-1"}
"""What a client of the server below needs beside its endpoint."""


class CannotInstall(Exception):
    """The packages are not there and cannot be had; the message says why."""


def packages(environ: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """Return the folder with moto in it, which is made when it is not there yet.

    `say` tells a person why it takes a while.

    Raises:
        CannotInstall: no uv, or no package registry.
    """
    key = hashlib.sha256(PACKAGES.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache_root(environ) / "packages" / f"s3-{key}"
    if not folder.exists():
        say(f"installing an S3 server for the tests into {folder} (80 MB, once)")
        _install(folder, environ)
    return folder


def _install(folder: Path, environ: Mapping[str, str]) -> None:
    uv = shutil.which("uv") or str(cache_root(environ) / "uv/bin/uv")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
    command = [uv, "pip", "install", "-q", "--no-deps", "--python", sys.executable,
               "--target", str(draft), "-r", str(PACKAGES)]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if not folder.exists():
            draft.rename(folder)
    except FileNotFoundError as error:
        raise CannotInstall("uv is missing, `make setup` installs it") from error
    except subprocess.CalledProcessError as error:
        raise CannotInstall(f"uv: {error.stderr.strip()[-300:]}") from error
    except subprocess.TimeoutExpired as error:
        raise CannotInstall(f"uv took longer than {INSTALL_SECONDS} s") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def s3_server(log: Path, say: Callable[[str], None]) -> Iterator[str]:
    """Run the server on loopback and give its endpoint.

    Raises:
        CannotInstall: its packages cannot be had.
    """
    site = packages(os.environ, say)
    port = free_port()
    # -S: of this project's own packages it sees none.
    command = [sys.executable, "-S", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, log, {**os.environ, "PYTHONPATH": str(site)}):
        yield f"http://127.0.0.1:{port}"
