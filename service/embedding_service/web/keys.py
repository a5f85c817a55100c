"""Optional bearer keys: who may ask for vectors. Keys live in a file and may change at any time.

A Secret is mounted as a folder, and the kubelet swaps its content at once and whole. Where the
setting is there but no key can be read, everybody is refused: never open by accident. No key is
ever kept, logged or answered; only SHA-256 digests stay in memory.
"""

import asyncio
import hmac
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from embedding_contract.endpoints import LIVE_PATH, METRICS_PATH, READY_PATH, TUNING_PATH
from embedding_service.errors import ClientFault

POLL_SECONDS: Final = 1.0
MAX_BYTES: Final = 64 * 1024
"""All key files together at most."""
MAX_FILES: Final = 64
MAX_KEY_CHARACTERS: Final = 512
SHOWN_LINES: Final = 10

OPEN_PATHS: Final = (LIVE_PATH, READY_PATH, METRICS_PATH, TUNING_PATH, "/docs", "/openapi.json")
"""These need no key: the kubelet, Prometheus and the operator ask them, and they tell no secret.
Every other path needs one, those that do not exist too."""

_KEY: Final = re.compile(rb"[!-~]{1,%d}" % MAX_KEY_CHARACTERS)
_SCHEME: Final = "bearer"

_log = logging.getLogger(__name__)


class Unauthorised(ClientFault):
    """The request has no key, or one that is not known here."""

    def __init__(self, message: str) -> None:
        super().__init__(401, "invalid_api_key", message)


class KeysUnreadable(Exception):
    """No keys could be read; the text says why and holds nothing of the content."""


@dataclass(frozen=True, slots=True)
class Keys:
    """SHA-256 digests of the keys, and the numbers of lines that cannot be keys."""

    digests: frozenset[bytes]
    bad_lines: tuple[int, ...] = ()


def parse_keys(content: bytes) -> Keys:
    """Read one key a line; blank lines and lines that start with # are skipped. Pure."""
    digests, bad = set(), []
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = raw.strip()
        if not line or line.startswith(b"#"):
            continue
        if _KEY.fullmatch(line):
            digests.add(sha256(line).digest())
        else:
            bad.append(number)
    return Keys(frozenset(digests), tuple(bad))


def read_keys(path: Path) -> Keys:
    """Read a file of keys, or all files of a folder.

    Raises:
        KeysUnreadable: there is no key to be had.
    """
    try:
        content = b"\n".join(_contents(path))
    except OSError as error:
        raise KeysUnreadable(f"it cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise KeysUnreadable(f"it has more than {MAX_BYTES} bytes")
    keys = parse_keys(content)
    if not keys.digests:
        raise KeysUnreadable("it has no key: write one a line, without spaces")
    return keys


def _contents(path: Path) -> Iterator[bytes]:
    """Give the bounded content of each file; a mounted Secret hides its own links behind dots."""
    found = [path]
    if path.is_dir():
        visible = [one for one in path.iterdir() if not one.name.startswith(".")]
        found = sorted(one for one in visible if one.is_file())
    elif path.exists() and not path.is_file():  # opening a pipe would wait for a writer
        raise KeysUnreadable("it is neither a file nor a folder")
    if len(found) > MAX_FILES:
        raise KeysUnreadable(f"it has more than {MAX_FILES} files")
    for one in found:
        with one.open("rb") as file:
            yield file.read(MAX_BYTES + 1)


class KeyRing:
    """The keys in force. It follows the file at `path`, which may be a folder."""

    def __init__(self, path: Path) -> None:
        """Read the keys now."""
        self._path = path
        self._keys: Keys | None = None
        self._problem: str | None = None
        self._stopped: str | None = None
        self.look()

    @property
    def stopped(self) -> str | None:
        """None while the file is watched, else why it no longer is."""
        return self._stopped

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                await asyncio.sleep(POLL_SECONDS)
                await asyncio.to_thread(self.look)
        except Exception as error:
            self._stopped = f"the file of API keys is no longer watched: {type(error).__name__}"
            _log.exception("the watch of the API keys stopped")
            raise

    def look(self) -> None:
        """Read the file once, and say in the log what changed."""
        try:
            keys = read_keys(self._path)
        except KeysUnreadable as error:
            self._refuse_all(str(error))
            return
        if keys != self._keys:
            notes = {"path": str(self._path), "keys": len(keys.digests)}
            _log.info("API keys in force", extra=notes)
            if keys.bad_lines:
                bad = {"path": str(self._path), "lines": keys.bad_lines[:SHOWN_LINES]}
                _log.warning("some lines cannot be API keys and are skipped", extra=bad)
        self._keys, self._problem = keys, None

    def check(self, authorization: str) -> None:
        """Let a request pass by its Authorization header, "" where it has none.

        Raises:
            Unauthorised: it has no key, or one that is not in force.
        """
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != _SCHEME or not key.strip():
            raise Unauthorised("this server needs an API key: send Authorization: Bearer KEY")
        # Compared as digests and with all of them: the time tells nothing about any key.
        given = sha256(key.strip().encode("latin-1")).digest()
        digests = self._keys.digests if self._keys is not None else ()
        if not sum(hmac.compare_digest(given, digest) for digest in digests):
            raise Unauthorised("the API key is not known here")

    def _refuse_all(self, problem: str) -> None:
        if problem != self._problem:
            notes = {"path": str(self._path), "problem": problem}
            _log.error("no API key is in force: every request that needs one is refused",
                       extra=notes)  # fmt: skip
        self._keys, self._problem = None, problem


class KeyCheck:
    """ASGI middleware: decides by the headers alone, before the body is read or a permit taken."""

    def __init__(self, app: ASGIApp, keys: KeyRing | None) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through.

        Raises:
            Unauthorised: it needs a key and has none that is in force.
        """
        if self._keys is not None and scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            self._keys.check(Headers(scope=scope).get("authorization", ""))
        await self._app(scope, receive, send)
