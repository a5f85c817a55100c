"""What this process is doing: loading, serving, leaving or draining. Probes and gate ask it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

from embedding_contract.report import TuningReport
from embedding_service.engine.admission import Admission
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.pipeline import Vector
from embedding_service.engine.starting import WarmUp
from embedding_service.engine.terms import Terms
from embedding_service.errors import Draining, ImageFailure, ServiceError
from embedding_service.metrics import Instruments
from embedding_service.settings import ServerSettings
from embedding_service.sources.reading import Sources
from embedding_service.web.activity_watch import ActivityWatch
from embedding_service.web.keys import KeyRing
from embedding_service.web.trace import Trace
from embedding_service.web.tracing import Tracing


class Loading(ServiceError):
    """The model is not warm yet."""

    code = "not_ready"


class Embedder(Protocol):
    """What HTTP needs of the pipeline. `engine.pipeline.Pipeline` is the real one."""

    @property
    def model(self) -> ModelInfo:
        """What is loaded."""

    @property
    def admission(self) -> Admission:
        """Who may come in."""

    @property
    def warmup(self) -> WarmUp | None:
        """What the warm-up measured and suggests."""

    async def embed_images(
        self, images: Sequence[bytes | ImageFailure], terms: Terms
    ) -> list[Vector | ImageFailure]:
        """Embed images; order is kept and one bad image fails alone."""

    async def embed_texts(self, texts: Sequence[str], terms: Terms) -> list[Vector]:
        """Embed texts; order is kept."""

    def alive(self, now: float) -> str | None:
        """Return None when work makes progress, else why not."""


class Reporter(Protocol):
    """What HTTP needs of the tuning watch."""

    @property
    def report(self) -> TuningReport:
        """What is in force."""

    @property
    def stopped(self) -> str | None:
        """None while the file is watched, else why not."""


class Phase(Enum):
    """From start to end. LEAVING: not ready, so endpoints drop out, but work is still taken."""

    LOADING = "loading"
    SERVING = "serving"
    LEAVING = "leaving"
    DRAINING = "draining"


class Serving:
    """The one mutable thing of the web room; it changes on the event loop only."""

    def __init__(
        self, settings: ServerSettings, instruments: Instruments, tracing: Tracing | None = None
    ) -> None:
        self.settings = settings
        self.tracing = tracing
        self.instruments = instruments
        self.started_at = time.time()
        self.activity = ActivityWatch(instruments)
        self.sources = Sources(settings, lambda seconds: instruments.stage("fetch", seconds))
        self.keys = None if settings.api_keys_file is None else KeyRing(settings.api_keys_file)
        self._phase = Phase.LOADING
        self._embedder: Embedder | None = None
        self._reporter: Reporter | None = None

    @contextmanager
    def timed_serialise(self, trace: Trace) -> Iterator[None]:
        """Time the block as the stage that writes the answer."""
        with trace.span("serialise"):
            yield
        self.instruments.stage("serialise", trace.spans["serialise"])

    @property
    def phase(self) -> Phase:
        """Where the process is in its life."""
        return self._phase

    def serve(self, embedder: Embedder, reporter: Reporter) -> None:
        """The model is warm and the tuning in force: become ready."""
        self._embedder, self._reporter = embedder, reporter
        if self._phase is Phase.LOADING:
            self._phase = Phase.SERVING

    def leave(self) -> None:
        """Become not ready, and go on taking work for a while."""
        self._phase = Phase.LEAVING

    def drain(self) -> None:
        """Take no new work."""
        self._phase = Phase.DRAINING

    @property
    def embedder(self) -> Embedder:
        """The warm pipeline.

        Raises:
            Loading: the model is not there yet.
        """
        if self._embedder is None:
            raise Loading("the model is loading, try again in a few seconds")
        return self._embedder

    @property
    def reporter(self) -> Reporter:
        """The tuning watch.

        Raises:
            Loading: the model is not there yet.
        """
        if self._reporter is None:
            raise Loading("the model is loading, nothing is in force yet")
        return self._reporter

    def accepting(self) -> Embedder:
        """Return the pipeline when new work is taken.

        Raises:
            Loading: the model is not there yet.
            Draining: the process is on its way out.
        """
        if self._phase is Phase.DRAINING:
            raise Draining("the server is shutting down, send the request again")
        return self.embedder

    def not_ready(self) -> str | None:
        """Return None when traffic should come here, else why not."""
        return None if self._phase is Phase.SERVING else self._phase.value

    def not_alive(self, now: float) -> str | None:
        """Return None when this process makes progress, else why a restart is needed.

        A loading model is alive: the startup probe bounds that. `now` is `time.monotonic()`.
        """
        if self.keys is not None and self.keys.stopped is not None:
            return self.keys.stopped
        if self._embedder is None or self._reporter is None:
            return None
        return self._embedder.alive(now) or self._reporter.stopped
