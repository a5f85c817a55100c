"""The one door: order, failing alone, and every bound."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from embedding_service.errors import ImageFailure
from embedding_service.sources.reading import ROUNDS, SHARE, Sources
from fakes.picture_host import Answer, PictureHost, picture_host, plain
from fakes.waiting import until
from fakes.web import settings_with


@asynccontextmanager
async def scene(**values: Any) -> AsyncIterator[tuple[PictureHost, Sources, list[float]]]:
    seconds: list[float] = []
    async with picture_host({"/a": plain(b"A"), "/b": plain(b"B")}) as host:
        sources = Sources(settings_with(fetch_urls="any", **values), seconds.append)
        try:
            yield host, sources, seconds
        finally:
            await sources.close()


def codes(found: list[bytes | ImageFailure]) -> list[object]:
    return [one.code if isinstance(one, ImageFailure) else one for one in found]


def held(gate: asyncio.Event) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await plain(b"x")(writer)

    return answer


def test_order_is_kept_and_each_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "c.jpg").write_bytes(b"C")

    async def run() -> None:
        async with scene(image_folder=tmp_path) as (host, sources, seconds):
            found = await sources.read(
                [host.url("/b"), "c.jpg", host.url("/none"), "ftp://x/y", "../c.jpg",
                 "s3://b/k", host.url("/a"), "none.jpg"]
            )  # fmt: skip
            assert codes(found) == [
                b"B", b"C", "not_found", "forbidden_source", "forbidden_source",
                "forbidden_source", b"A", "not_found",
            ]  # fmt: skip
            assert len(seconds) == 8
            assert min(seconds) >= 0

    asyncio.run(run())


def test_nothing_asked_is_nothing_read() -> None:
    async def run() -> None:
        async with scene() as (_, sources, seconds):
            assert await sources.read([]) == []
            assert seconds == []

    asyncio.run(run())


def test_a_double_is_fetched_once() -> None:
    async def run() -> None:
        async with scene() as (host, sources, seconds):
            found = await sources.read([host.url("/a"), host.url("/b"), host.url("/a")])
            assert found == [b"A", b"B", b"A"]
            assert sorted(host.asked) == ["/a", "/b"]
            assert len(seconds) == 2

    asyncio.run(run())


def test_a_name_without_a_folder_fails_alone() -> None:
    async def run() -> None:
        async with scene() as (host, sources, _):
            assert codes(await sources.read(["x.jpg", host.url("/a")])) == [
                "forbidden_source",
                b"A",
            ]

    asyncio.run(run())


def test_one_request_takes_its_share_and_all_together_no_more_than_the_limit() -> None:
    limit = 8

    async def run() -> None:
        async with scene(fetch_concurrency=limit) as (host, sources, _):
            gate = asyncio.Event()
            host.routes |= {f"/{number}": held(gate) for number in range(100)}
            urls = [host.url(f"/{number}") for number in range(100)]
            one = asyncio.create_task(sources.read(urls[:20]))
            await until(lambda: host.open == limit // SHARE)
            others = [asyncio.create_task(sources.read(urls[20:])) for _ in range(SHARE * 2)]
            await until(lambda: host.open == limit)
            gate.set()
            results = await asyncio.gather(one, *others)
            assert all(codes(found) == [b"x"] * len(found) for found in results)
            assert host.most_open == limit

    asyncio.run(run())


def test_all_images_together_have_a_limit_of_bytes() -> None:
    async def run() -> None:
        async with scene(max_fetch_bytes=2000, fetch_concurrency=1) as (host, sources, _):
            host.routes |= {f"/{number}": plain(bytes(900)) for number in range(4)}
            found = await sources.read([host.url(f"/{number}") for number in range(4)])
            assert codes(found) == [bytes(900)] * 2 + ["too_large"] * 2
            assert "together" in str(found[2])
            assert codes(await sources.read([host.url("/0")])) == [bytes(900)]

    asyncio.run(run())


def test_bytes_of_an_image_that_failed_count_no_more() -> None:
    async def run() -> None:
        values = {"max_fetch_bytes": 2000, "max_image_bytes": 1500, "fetch_concurrency": 1}
        async with scene(**values) as (host, sources, _):

            async def in_pieces(writer: asyncio.StreamWriter) -> None:
                head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                writer.write(head + (b"3e8\r\n" + bytes(1000) + b"\r\n") * 2 + b"0\r\n\r\n")
                await writer.drain()

            host.routes |= {"/big": in_pieces, "/1": plain(bytes(1000)), "/2": plain(bytes(1000))}
            found = await sources.read([host.url("/big"), host.url("/1"), host.url("/2")])
            assert codes(found) == ["too_large", bytes(1000), bytes(1000)]

    asyncio.run(run())


def test_one_slow_image_fails_alone() -> None:
    async def run() -> None:
        async with scene(fetch_timeout_seconds=0.3) as (host, sources, _):
            host.routes["/slow"] = held(asyncio.Event())
            found = await sources.read([host.url("/slow"), host.url("/a")])
            assert codes(found) == ["timeout", b"A"]

    asyncio.run(run())


def test_a_request_of_many_slow_images_ends() -> None:
    """Only as many can wait one after the other as fit into the time of the whole request."""

    async def run() -> None:
        async with scene(fetch_timeout_seconds=0.2, fetch_concurrency=1) as (host, sources, _):
            host.routes["/slow"] = held(asyncio.Event())
            urls = [host.url(f"/slow?{number}") for number in range(50)]
            found = await sources.read([host.url("/a"), *urls, host.url("/b")])
            assert codes(found) == [b"A"] + ["timeout"] * 51
            assert "together" in str(found[-1])
            assert len(host.asked) <= ROUNDS + 2
            assert await sources.read([host.url("/b")]) == [b"B"]

    asyncio.run(run())


def test_a_cancelled_request_cancels_its_fetches_and_frees_its_places() -> None:
    async def run() -> None:
        async with scene(fetch_concurrency=4) as (host, sources, _):
            gate = asyncio.Event()
            host.routes["/slow"] = held(gate)
            tasks = [
                asyncio.create_task(sources.read([host.url(f"/slow?{number}")]))
                for number in range(8)
            ]
            await until(lambda: host.open == 4)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)
            assert await sources.read([host.url("/a")]) == [b"A"]
            assert len(host.asked) == 5
            gate.set()

    asyncio.run(run())


@pytest.mark.parametrize("scheme", ["https", "s3", "gs"])
def test_with_public_neither_the_inside_nor_objects_are_read(scheme: str) -> None:
    async def run() -> None:
        sources = Sources(settings_with(fetch_urls="public"))
        (found,) = await sources.read([f"{scheme}://localhost/a.jpg"])
        assert isinstance(found, ImageFailure)
        assert found.code == "forbidden_source"
        await sources.close()

    asyncio.run(run())
