"""Objects out of a real S3 server and a real Google Cloud Storage server, both on loopback."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvloop
from obstore.store import S3Store

from embedding_service.allowed import parse_prefixes
from embedding_service.errors import ImageFailure
from embedding_service.sources.reading import Sources
from fakes.picture_host import PictureHost, picture_host
from fakes.waiting import until
from fakes.web import settings_with
from stores.gcs import NoProgram, gcs_server, put
from stores.s3 import ACCESS, CannotInstall, s3_server

OBJECTS = {
    "2024/a.jpg": b"A" * 1000,
    "2024/ü b+c?d#e%2f.jpg": b"odd",
    "2024/big.jpg": bytes(3_000_000),
    "private/key": b"secret",
}
PREFIXES = parse_prefixes(["s3://albums/2024", "s3://missing/", "gs://albums/2024/"])
CLEARED = ("AWS_PROFILE", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN",
           "GOOGLE_BASE_URL", "GOOGLE_SERVICE_ACCOUNT", "STORAGE_EMULATOR_HOST")  # fmt: skip


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    try:
        with s3_server(tmp_path_factory.mktemp("s3") / "log", terminal.write_line) as endpoint:
            _seed(endpoint)
            yield endpoint
    except CannotInstall as error:
        pytest.skip(f"objects of a real S3 server: {error}")


def _seed(endpoint: str) -> None:
    httpx.put(f"{endpoint}/albums", trust_env=False).raise_for_status()
    store = S3Store(
        "albums",
        endpoint=endpoint,
        access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
        secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
        region=ACCESS["AWS_REGION"],
        client_options={"allow_http": True},
    )
    for key, data in OBJECTS.items():
        store.put(key, data)


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with gcs_server(tmp_path_factory.mktemp("gcs") / "log") as address:
            put(address, "albums", OBJECTS)
            yield address
    except NoProgram as error:
        pytest.skip(f"objects of a real Google Cloud Storage server: {error}")


@pytest.fixture(params=["s3", "gs", "gs by its own address"])
def scheme(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the usual variables at the store, and return the scheme of its references."""
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)
    if request.param == "s3":
        for name, value in ACCESS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3"))
        return "s3"
    address = request.getfixturevalue("gcs")
    if request.param == "gs":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address.removeprefix("http://"))
    else:
        monkeypatch.setenv("GOOGLE_BASE_URL", address)
        monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    return "gs"


async def _read(*references: str, **values: Any) -> list[bytes | ImageFailure]:
    fields = {"object_prefixes": PREFIXES, "fetch_urls": "none"} | values
    sources = Sources(settings_with(**fields))
    try:
        return await sources.read(references)
    finally:
        await sources.close()


def read(*references: str, **values: Any) -> list[bytes | str]:
    """Return the bytes, or the code of the failure, of each reference."""
    found = asyncio.run(_read(*references, **values))
    return [one.code if isinstance(one, ImageFailure) else one for one in found]


def test_objects_are_read_and_each_fails_alone(scheme: str) -> None:
    keys = ["2024/a.jpg", "2024/none.jpg", "2024/ü b+c?d#e%2f.jpg", "private/key",
            "2024/../private/key", "2024/big.jpg"]  # fmt: skip
    assert read(*(f"{scheme}://albums/{key}" for key in keys)) == [
        OBJECTS["2024/a.jpg"], "not_found", b"odd", "forbidden_source", "forbidden_source",
        OBJECTS["2024/big.jpg"],
    ]  # fmt: skip


def test_it_works_on_the_loop_of_the_server(scheme: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_read(f"{scheme}://albums/2024/a.jpg"))
    assert found == [OBJECTS["2024/a.jpg"]]


def test_the_limit_of_bytes_is_exact(scheme: str) -> None:
    reference = f"{scheme}://albums/2024/a.jpg"
    assert read(reference, max_image_bytes=1000) == [OBJECTS["2024/a.jpg"]]
    assert read(reference, max_image_bytes=999) == ["too_large"]
    assert read(reference, max_fetch_bytes=1000) == [OBJECTS["2024/a.jpg"]]
    assert read(f"{scheme}://albums/2024/big.jpg", max_fetch_bytes=1024) == ["too_large"]


def test_without_prefixes_nothing_is_read(scheme: str) -> None:
    assert read(f"{scheme}://albums/2024/a.jpg", object_prefixes=()) == ["forbidden_source"]


def test_many_objects_at_once(scheme: str) -> None:
    references = [f"{scheme}://albums/2024/{'a' if number % 2 else 'none'}.jpg?{number}"
                  for number in range(40)]  # fmt: skip
    assert read(*references) == ["not_found"] * 40


def test_a_bucket_that_is_not_there_is_not_found(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ACCESS | {"AWS_ENDPOINT_URL": s3}).items():
        monkeypatch.setenv(name, value)
    assert read("s3://missing/a.jpg") == ["not_found"]


def test_without_the_right_credentials_the_source_is_forbidden(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert read("s3://albums/2024/a.jpg") == ["forbidden_source"]


def test_a_store_that_is_down_is_an_upstream_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (ACCESS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}).items():
        monkeypatch.setenv(name, value)
    assert read("s3://albums/2024/a.jpg") == ["upstream_error"]
    assert [record.__dict__["bucket"] for record in caplog.records] == ["albums"]
    assert "sesame" not in caplog.text


def hanging(host: PictureHost, head: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        await asyncio.Event().wait()

    host.routes["/albums/2024/a.jpg"] = answer


HEAD = (b"HTTP/1.1 200 OK\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nETag: \"x\"\r\n"
        b"Content-Length: 9\r\n\r\nabc")  # fmt: skip


@pytest.mark.parametrize("head", [b"", HEAD], ids=["silent", "in the body"])
def test_a_store_that_hangs_ends_in_time(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with picture_host() as host:
            hanging(host, head)
            for name, value in (ACCESS | {"AWS_ENDPOINT_URL": host.url("")}).items():
                monkeypatch.setenv(name, value)
            (found,) = await _read("s3://albums/2024/a.jpg", fetch_timeout_seconds=0.3)
            assert isinstance(found, ImageFailure)
            assert found.code == "timeout"

    asyncio.run(run())


def test_a_cancelled_request_lets_the_connection_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with picture_host() as host:

            async def slowly(writer: asyncio.StreamWriter) -> None:
                writer.write(HEAD.replace(b"Length: 9", b"Length: 900000"))
                while not writer.is_closing():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.005)

            host.routes["/albums/2024/a.jpg"] = slowly
            for name, value in (ACCESS | {"AWS_ENDPOINT_URL": host.url("")}).items():
                monkeypatch.setenv(name, value)
            sources = Sources(settings_with(object_prefixes=PREFIXES))
            task = asyncio.create_task(sources.read(["s3://albums/2024/a.jpg"]))
            await until(lambda: host.open == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: host.open == 0)
            await sources.close()

    asyncio.run(run())


def test_an_object_that_says_it_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with picture_host() as host:
            hanging(host, HEAD.replace(b"Length: 9", b"Length: 900000000000"))
            for name, value in (ACCESS | {"AWS_ENDPOINT_URL": host.url("")}).items():
                monkeypatch.setenv(name, value)
            (found,) = await _read("s3://albums/2024/a.jpg", fetch_timeout_seconds=5)
            assert isinstance(found, ImageFailure)
            assert found.code == "too_large"

    asyncio.run(run())


def test_all_requests_together_read_no_more_objects_at_once_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        async with picture_host() as host:
            gate = asyncio.Event()

            async def held(writer: asyncio.StreamWriter) -> None:
                await gate.wait()
                writer.write(HEAD.replace(b"Length: 9", b"Length: 3"))
                await writer.drain()

            host.routes |= {f"/albums/2024/{number}": held for number in range(12)}
            for name, value in (ACCESS | {"AWS_ENDPOINT_URL": host.url("")}).items():
                monkeypatch.setenv(name, value)
            sources = Sources(settings_with(object_prefixes=PREFIXES, fetch_concurrency=4))
            tasks = [
                asyncio.create_task(sources.read([f"s3://albums/2024/{number}"]))
                for number in range(12)
            ]
            await until(lambda: host.open == 4)
            gate.set()
            assert await asyncio.gather(*tasks) == [[b"abc"]] * 12
            assert host.most_open == 4
            await sources.close()

    asyncio.run(run())


def test_a_key_with_an_answer_that_lies_about_its_size_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a length the store's client refuses; with a false one it stops there."""

    async def run() -> None:
        async with picture_host() as host:

            async def answer(writer: asyncio.StreamWriter) -> None:
                writer.write(HEAD.replace(b"Content-Length: 9\r\n", b""))
                while not writer.is_closing():
                    writer.write(bytes(1000))
                    await writer.drain()

            host.routes["/albums/2024/a.jpg"] = answer
            for name, value in (ACCESS | {"AWS_ENDPOINT_URL": host.url("")}).items():
                monkeypatch.setenv(name, value)
            (found,) = await _read("s3://albums/2024/a.jpg", max_image_bytes=1000)
            assert isinstance(found, ImageFailure)
            assert found.code in {"upstream_error", "too_large"}

    asyncio.run(run())
