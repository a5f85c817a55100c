"""A closed loop of clients that send real photographs to POST /embed.

Each client sends its next request when the last one was answered, so the load never runs away
from the server. It is bounded in time and in requests, and goes only where target.py allows.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from embedding_contract.endpoints import EMBED_PATH
from load.figures import Answer, Figures, Outcome, figures
from load.photographs import Photograph
from load.target import checked_target

BOUNDARY = "sluice-load-boundary"
MAX_BACK_OFF_SECONDS = 2.0

TAIL = b"sluice-load-tail"
"""Behind the end of each photograph, where decoders do not look. Each request puts its number here:
the server computes identical images in flight once, and that is no load."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: `clients` at once, `images` photographs a request, and where it ends.

    The request bodies are built once; request i carries photographs i, i+1, ... so that every
    photograph is used. No two images that are sent have the same bytes.
    """

    url: str
    photographs: tuple[Photograph, ...]
    clients: int = 8
    images: int = 4
    seconds: float = 30.0
    max_requests: int = 100_000
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        checked_target(self.url)
        if not self.photographs or min(self.clients, self.images, self.max_requests) < 1:
            raise ValueError("a load needs photographs, clients, images and requests")

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """One multipart body for each photograph to start with."""
        count = len(self.photographs)
        return tuple(
            multipart([self.photographs[(start + step) % count] for step in range(self.images)])
            for start in range(count)
        )


def multipart(images: Sequence[Photograph]) -> bytes:
    """Return a multipart/form-data body; a photograph sent twice gets a name of its own."""
    parts = []
    for number, image in enumerate(images):
        head = (
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
            f'name="files"; filename="{number}-{image.name}"\r\n'
            f"Content-Type: {image.media_type}\r\n\r\n"
        )
        parts.append(head.encode() + image.data + TAIL + b"%04d\r\n" % number)
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Load:
    """A load that runs in a thread of its own while the caller does other things.

    Use it as a context manager: leaving the block stops the clients, and every request that was
    begun is waited for.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._bodies = plan.bodies
        self._answers: list[Answer] = []
        self._begun = 0
        self._stop = threading.Event()
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.started = 0.0

    def __enter__(self) -> Self:
        self.started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is None and self._broken is not None:
            raise self._broken

    @property
    def running(self) -> bool:
        """False when it was stopped or has reached one of its bounds."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let every client finish the request that it is in, then return."""
        self._stop.set()
        self._thread.join(self._plan.timeout_seconds + 5)

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or sooner when the load has ended."""
        self._thread.join(seconds)

    def figures(self, begin: float | None = None, end: float | None = None) -> Figures:
        """Sum up a stretch of the load, in monotonic seconds; without them all of it."""
        last = time.monotonic() if end is None else end
        return figures(tuple(self._answers), self.started if begin is None else begin, last)

    def _run(self) -> None:
        try:
            asyncio.run(self._clients())
        except BaseException as error:  # noqa: BLE001 - handed to the caller in __exit__
            self._broken = error

    async def _clients(self) -> None:
        limits = httpx.Limits(max_connections=self._plan.clients)
        timeout = httpx.Timeout(self._plan.timeout_seconds)
        # trust_env=False: a proxy of the environment must not carry the load elsewhere.
        async with (
            httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(self._plan.clients):
                group.create_task(self._client(client))

    async def _client(self, client: httpx.AsyncClient) -> None:
        deadline = self.started + self._plan.seconds
        while not self._stop.is_set() and time.monotonic() < deadline:
            if self._begun >= self._plan.max_requests:
                return
            self._begun += 1
            body = self._bodies[self._begun % len(self._bodies)]
            own = b"%0*d" % (len(TAIL), self._begun)
            pause = await self._request(client, body.replace(TAIL, own))
            if pause:
                await asyncio.sleep(pause)

    async def _request(self, client: httpx.AsyncClient, body: bytes) -> float:
        """Send one request; return the seconds that a refusal asks to wait."""
        begin = time.monotonic()
        try:
            answer = await client.post(
                self._plan.url.rstrip("/") + EMBED_PATH,
                content=body,
                headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
            )
        except httpx.HTTPError as error:
            self._note(begin, "failed", fault=f"{type(error).__name__}: {error}")
            return 0.1
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            self._note(begin, "refused")
            return _pause(answer)
        self._judge(begin, answer)
        return 0.0

    def _judge(self, begin: float, answer: httpx.Response) -> None:
        if answer.status_code != httpx.codes.OK:
            self._note(begin, "failed", fault=f"{answer.status_code}: {answer.text[:200]}")
            return
        document = answer.json()
        errors = document.get("errors") or {}
        vectors = len(document.get("embeddings", {}))
        if errors or vectors != self._plan.images:
            self._note(begin, "failed", vectors, f"{vectors} vectors, errors: {str(errors)[:200]}")
            return
        self._note(begin, "ok", vectors)

    def _note(self, begin: float, outcome: Outcome, images: int = 0, fault: str = "") -> None:
        end = time.monotonic()
        self._answers.append(Answer(end, end - begin, outcome, images, fault))


def _pause(answer: httpx.Response) -> float:
    with contextlib.suppress(ValueError):
        return min(float(answer.headers.get("Retry-After", "1")), MAX_BACK_OFF_SECONDS)
    return MAX_BACK_OFF_SECONDS
