"""The life of the process, with a fake engine, real sockets and real signals."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from embedding_contract.tuning import Setting, TuningFile, dump_tuning
from embedding_service.errors import ModelUnavailable
from embedding_service.metrics import Instruments
from embedding_service.settings import ServerSettings
from embedding_service.web import keys
from embedding_service.web.lifecycle import CannotListen, Lifecycle
from fakes.picture_host import picture_host, plain
from fakes.pipeline import IMAGE, FakePipeline
from fakes.waiting import until
from fakes.web import error_of, settings_with

TEXT = {"input": "a cat"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Loader:
    """Stands for the load of a model: it ends when the test says so."""

    go: threading.Event = field(default_factory=threading.Event)
    fault: Exception | None = None
    made: list[FakePipeline] = field(default_factory=list)

    def __call__(self, settings: ServerSettings, instruments: Instruments) -> FakePipeline:
        self.go.wait(10)
        if self.fault is not None:
            raise self.fault
        self.made.append(FakePipeline(settings))
        return self.made[0]


@dataclass
class Life:
    """A server that runs in this event loop, and a client of it."""

    task: asyncio.Task[None]
    loader: Loader
    client: httpx.AsyncClient

    async def status(self, path: str) -> int:
        return (await self.client.get(path)).status_code

    async def until_status(self, path: str, wanted: int) -> None:
        deadline = time.monotonic() + 5
        while (found := await self.status(path)) != wanted:
            assert time.monotonic() < deadline, f"{path} still answers {found}"


@asynccontextmanager
async def life(*, loaded: bool = True, **values: Any) -> AsyncIterator[Life]:
    settings = settings_with(host="127.0.0.1", port=free_port(), **values)
    loader = Loader()
    if loaded:
        loader.go.set()
    task = asyncio.create_task(Lifecycle(settings, loader).run())
    address = f"http://127.0.0.1:{settings.port}"
    async with httpx.AsyncClient(base_url=address, timeout=10, trust_env=False) as client:
        running = Life(task, loader, client)
        try:
            await until(lambda: _listens(settings.port) or task.done())
            yield running
        finally:
            loader.go.set()
            if not task.done():
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.wait({task}, timeout=5)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_it_listens_before_the_model_is_there() -> None:
    async def run() -> None:
        async with life(loaded=False) as running:
            assert await running.status("/livez") == 200
            assert await running.status("/readyz") == 503
            running.loader.go.set()
            await running.until_status("/readyz", 200)
            assert (await running.client.post("/v1/embeddings", json=TEXT)).status_code == 200

    asyncio.run(run())


def test_it_is_ready_only_with_the_tuning_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "tuning.json").write_text(dump_tuning(TuningFile(7, Setting(3, 9))))

    async def run() -> None:
        async with life(tuning_directory=tmp_path) as running:
            await running.until_status("/readyz", 200)
            report = (await running.client.get("/v1/tuning")).json()
            assert report["generation"] == 7
            assert report["setting"]["numStreams"] == 3

    asyncio.run(run())


def test_a_tuning_file_is_applied_while_requests_run(tmp_path: Path) -> None:
    async def run() -> None:
        async with life(tuning_directory=tmp_path, semaphore_size=1) as running:
            await running.until_status("/readyz", 200)
            answers = [
                asyncio.create_task(running.client.post("/v1/embeddings", json=TEXT))
                for _ in range(20)
            ]
            (tmp_path / "new").write_text(dump_tuning(TuningFile(8, Setting(2, 5))))
            (tmp_path / "new").rename(tmp_path / "tuning.json")
            (pipeline,) = running.loader.made
            await until(lambda: pipeline.setting.num_streams == 2)
            assert {(await answer).status_code for answer in answers} == {200}

    asyncio.run(run())


def test_keys_are_renewed_while_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "POLL_SECONDS", 0.01)
    file = tmp_path / "keys"
    file.write_text("sk-old")

    async def run() -> None:
        async with life(api_keys_file=file) as running:
            await running.until_status("/readyz", 200)
            assert await running.status("/v1/models") == 401
            running.client.headers["authorization"] = "Bearer sk-new"
            file.write_text("sk-new")
            await running.until_status("/v1/models", 200)

    asyncio.run(run())


def test_after_sigterm_it_leaves_then_finishes_what_was_admitted() -> None:
    async def run() -> None:
        async with life(drain_seconds=4.0) as running:
            await running.until_status("/readyz", 200)
            (pipeline,) = running.loader.made
            pipeline.hold()
            admitted = asyncio.create_task(running.client.post("/v1/embeddings", json=TEXT))
            await until(lambda: pipeline.started == 1)
            terminate()
            await running.until_status("/readyz", 503)
            late = asyncio.create_task(running.client.post("/v1/embeddings", json=TEXT))
            await until(lambda: pipeline.started == 2)  # still taken: endpoints are not gone yet
            await until(lambda: not _listens(running.client.base_url.port or 0))
            assert not running.task.done()
            pipeline.let_go()
            assert [(await one).status_code for one in (admitted, late)] == [200, 200]
            await running.task
            assert pipeline.closed

    asyncio.run(run())


def test_a_connection_that_stays_open_is_sent_away_while_draining() -> None:
    async def run() -> None:
        async with life(drain_seconds=0.0) as running:
            await running.until_status("/readyz", 200)
            (pipeline,) = running.loader.made
            terminate()
            await running.task
            assert pipeline.closed
            with pytest.raises(httpx.ConnectError):
                await running.client.get("/livez")

    asyncio.run(run())


def test_work_that_outlives_the_drain_is_given_up() -> None:
    async def run() -> None:
        async with life(drain_seconds=0.4) as running:
            await running.until_status("/readyz", 200)
            (pipeline,) = running.loader.made
            pipeline.hold()
            stuck = asyncio.create_task(running.client.post("/v1/embeddings", json=TEXT))
            await until(lambda: pipeline.started == 1)
            terminate()
            await asyncio.wait_for(running.task, 5)
            assert pipeline.cancelled == 1
            with pytest.raises(httpx.HTTPError):
                (await stuck).raise_for_status()

    asyncio.run(run())


def test_a_second_signal_ends_it_at_once() -> None:
    async def run() -> None:
        async with life(drain_seconds=60.0) as running:
            await running.until_status("/readyz", 200)
            (pipeline,) = running.loader.made
            pipeline.hold()
            stuck = asyncio.create_task(running.client.post("/v1/embeddings", json=TEXT))
            await until(lambda: pipeline.started == 1)
            terminate()
            await running.until_status("/readyz", 503)
            terminate()
            await asyncio.wait_for(running.task, 5)
            stuck.cancel()

    asyncio.run(run())


def test_a_signal_during_the_load_ends_it() -> None:
    async def run() -> None:
        async with life(loaded=False) as running:
            assert await running.status("/livez") == 200
            terminate()
            await asyncio.wait_for(running.task, 5)
            assert not running.loader.made

    asyncio.run(run())


def test_a_model_that_cannot_be_loaded_ends_it() -> None:
    async def run() -> None:
        async with life(loaded=False) as running:
            running.loader.fault = ModelUnavailable("no such model")
            running.loader.go.set()
            with pytest.raises(ModelUnavailable, match="no such model"):
                await running.task

    asyncio.run(run())


def test_a_port_in_use_is_named_before_anything_is_loaded() -> None:
    loader = Loader()
    loader.go.set()

    async def run(port: int) -> None:
        settings = settings_with(host="127.0.0.1", port=port)
        with pytest.raises(CannotListen, match=f"127.0.0.1 port {port}: Address already in use"):
            await Lifecycle(settings, loader).run()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(run(taken.getsockname()[1]))
    assert not loader.made


def test_work_during_the_load_is_sent_away_with_a_time() -> None:
    async def run() -> None:
        async with life(loaded=False) as running:
            answer = await running.client.post("/v1/embeddings", json=TEXT)
            assert answer.status_code == 503
            assert error_of(answer)["code"] == "not_ready"
            assert answer.headers["retry-after"] == "5"

    asyncio.run(run())


def test_at_the_end_the_connections_of_the_sources_are_closed() -> None:
    async def run() -> None:
        async with picture_host({"/": plain(IMAGE)}) as host, life(fetch_urls="any") as running:
            await running.until_status("/readyz", 200)
            answer = await running.client.post("/embed", json={"images": [host.url()]})
            assert list(answer.json()["embeddings"]) == [host.url()]
            assert len(host.tasks) == 1
            terminate()
            await running.task
            await until(lambda: not host.tasks)

    asyncio.run(run())
