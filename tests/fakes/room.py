"""The web room around a real pipeline on simulated lanes, asked through ASGI with every control.

Each request is put straight into the application: what was sent is known to have arrived, and the
client leaves exactly when the test says so.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message

from embedding_service.engine.lane import Lane
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.parts import Parts, make_ring
from embedding_service.engine.pipeline import Pipeline, build_pipeline
from embedding_service.engine.simulated_lane import SimulatedLane
from embedding_service.engine.slots import SlotRing
from embedding_service.imaging.profile import Profile
from embedding_service.metrics import Instruments
from embedding_service.settings import ServerSettings
from embedding_service.web.app import create_app
from embedding_service.web.serving import Serving
from endurance.wire import Request
from fakes.pipeline import FakePipeline
from fakes.web import FixedReporter, Web, settings_with

DIMENSIONS = 6
MakeLane = Callable[[SlotRing], Lane]


def simulated_lane(ring: SlotRing) -> Lane:
    return SimulatedLane(ring, DIMENSIONS)


def simulated_parts(make_lane: MakeLane) -> Callable[[ServerSettings], Parts]:
    """Return what `build_pipeline` makes its parts with: pictures of 8 x 8, no model."""

    def make(settings: ServerSettings) -> Parts:
        profile = Profile(size=(8, 8))
        ring = make_ring(settings.max_batch, profile)
        info = ModelInfo(
            "simulated", "none", "fp32", "cpu", DIMENSIONS, (8, 8), 77, False, settings.max_batch
        )
        return Parts(info, profile, ring, lambda: make_lane(ring), _texts)

    return make


def _texts(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    return np.ones((len(texts), DIMENSIONS), np.float32)


def simulated_web(make_lane: MakeLane = simulated_lane, **values: object) -> tuple[Web, Pipeline]:
    """Build a ready web room; the caller closes the pipeline."""
    settings = settings_with(**({"max_batch": 4, "cpu_limit": 2.0} | values))
    instruments = Instruments(CollectorRegistry())
    pipeline = build_pipeline(settings, instruments, simulated_parts(make_lane))
    serving = Serving(settings, instruments)
    serving.serve(pipeline, FixedReporter(settings))
    return Web(settings, serving, FakePipeline(settings), instruments), pipeline


@dataclass
class Asked:
    """One request inside the application. `status` is None until the answer starts."""

    images: int
    task: "asyncio.Task[None] | None" = None
    status: int | None = None
    body: bytes = b""
    complete: bool = False
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        return self.task is not None and self.task.done()

    def leave(self) -> None:
        """The client goes away."""
        self.left.set()


def ask(web: Web, request: Request, images: int, app: ASGIApp | None = None) -> Asked:
    """Put one request into the application."""
    asked = Asked(images)
    to_come = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> Message:
        if to_come:
            return to_come.pop()
        await asked.left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        assert not asked.complete, "something was sent after the answer"
        if message["type"] == "http.response.start":
            assert asked.status is None, "two answers to one request"
            asked.status = message["status"]
        else:
            asked.body += message.get("body", b"")
            asked.complete = not message.get("more_body", False)

    work = (app or create_app(web.serving))(_scope(request), receive, send)
    asked.task = asyncio.ensure_future(work)
    return asked


def _scope(request: Request) -> dict[str, object]:
    first, *lines = request.head.decode().rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = [line.encode().lower().split(b": ", 1) for line in lines if ":" in line]
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": method, "scheme": "http", "path": path, "raw_path": path.encode(),
        "query_string": b"", "root_path": "", "headers": [tuple(header) for header in headers],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {},
    }  # fmt: skip
