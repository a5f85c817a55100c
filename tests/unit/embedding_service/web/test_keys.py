"""Bearer keys: who needs one, who passes, and that nothing is ever open by accident."""

import asyncio
import logging
import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_service.logs import JsonFormatter
from embedding_service.web import keys as module
from embedding_service.web.keys import KeyRing, Unauthorised, parse_keys
from fakes.waiting import until
from fakes.web import Web, error_of, over_socket, web_with

TEXT = {"input": "a cat"}
KEY, OTHER = "sk-first-0123456789", "sk-second-0123456789"
KEYED = [
    ("POST", "/v1/embeddings"), ("POST", "/embed"), ("GET", "/v1/models"),
    ("GET", "/v1/models/fake"), ("GET", "/v1/embeddings"), ("GET", "/nowhere"),
]  # fmt: skip
OPEN = ["/livez", "/readyz", "/metrics", "/v1/tuning", "/docs", "/openapi.json"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# clients\n\n{KEY}\n  {OTHER}  \r\n")
    return path


@pytest.fixture
def web(file: Path) -> Web:
    return web_with(api_keys_file=file)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def said(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What the log has of keys; other tests may have turned on the lines of requests."""
    found = [record for record in caplog.records if record.name == module.__name__]
    return [record for record in found if record.levelno >= logging.WARNING]


def status(web: Web, key: str) -> int:
    return web.ask("POST", "/v1/embeddings", json=TEXT, headers=bearer(key)).status_code


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_any_key_of_the_file_passes(web: Web, key: str) -> None:
    assert status(web, key) == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", KEY, f"Basic {KEY}", "Bearer sk-wrong", f"Bearer {KEY}x",
     f"Bearer {KEY[:-1]}", "Bearer # clients", f"Bearer {KEY} {OTHER}", "Bearer \xfc\xff"],
)  # fmt: skip
def test_everything_else_is_401_in_openais_shape(web: Web, authorization: str) -> None:
    headers = {"authorization": authorization.encode("latin-1")} if authorization else {}
    answer = web.ask("POST", "/v1/embeddings", json=TEXT, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = error_of(answer)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert web.pipeline.started == 0
    assert web.count("embedding_requests_total", outcome="client_fault") == 1


def test_the_scheme_has_no_case(web: Web) -> None:
    headers = {"authorization": f"bEARER {KEY}"}
    assert web.ask("GET", "/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(("method", "path"), KEYED)
def test_vectors_models_and_what_does_not_exist_need_a_key(
    web: Web, method: str, path: str
) -> None:
    assert web.ask(method, path).status_code == 401


@pytest.mark.parametrize("path", OPEN)
def test_probes_metrics_and_the_operators_question_need_none(web: Web, path: str) -> None:
    assert web.ask("GET", path).status_code == 200


def test_without_the_setting_nobody_needs_a_key() -> None:
    assert web_with().ask("POST", "/v1/embeddings", json=TEXT).status_code == 200


def test_it_is_decided_before_the_body_comes_and_without_a_permit(web: Web) -> None:
    async def run() -> bytes:
        async with over_socket(web) as client:
            reader, writer = await asyncio.open_connection(
                str(client.base_url.host), client.base_url.port
            )
            writer.write(b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
            line = await asyncio.wait_for(reader.readline(), 5)
            assert web.pipeline.admission.in_flight == 0
            writer.close()
            return line

    assert b" 401 " in asyncio.run(run())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no key"),
        (b"# only a comment\n\n", "no key"),
        (b"two words\n", "no key"),
        (b"\xff\xfe\n", "no key"),
        (b"k\n" * 40_000, "more than 65536 bytes"),
        (None, "No such file"),
    ],
)
def test_without_a_usable_key_everybody_is_refused(
    tmp_path: Path, content: bytes | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    web = web_with(api_keys_file=file)
    assert [status(web, key) for key in ("k", "two words", KEY)] == [401, 401, 401]
    (line,) = said(caplog)
    assert line.levelno == logging.ERROR
    assert words in vars(line)["problem"]


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys")
    with pytest.raises(Unauthorised):
        KeyRing(tmp_path / "keys").check(f"Bearer {KEY}")


def test_a_folder_gives_the_keys_of_its_files(tmp_path: Path) -> None:
    """As the kubelet lays out a Secret: links to files behind a link that is swapped."""
    hidden = tmp_path / "..2026"
    hidden.mkdir()
    (hidden / "search").write_text(KEY)
    (hidden / "albums").write_text(OTHER)
    (tmp_path / "..data").symlink_to("..2026")
    for name in ("search", "albums"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    web = web_with(api_keys_file=tmp_path)
    assert [status(web, KEY), status(web, OTHER), status(web, "x")] == [200, 200, 401]


def test_too_many_files_are_no_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(module.MAX_FILES + 1):
        (tmp_path / f"{number}").write_text(KEY)
    assert status(web_with(api_keys_file=tmp_path), KEY) == 401
    assert "more than 64 files" in vars(said(caplog)[0])["problem"]


def test_keys_are_renewed_without_a_restart(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    ring = KeyRing(file)

    def passes(key: str) -> bool:
        try:
            ring.check(f"Bearer {key}")
        except Unauthorised:
            return False
        return True

    def write(key: str) -> None:
        (file.parent / "new").write_text(key)
        (file.parent / "new").rename(file)

    async def run() -> None:
        watching = asyncio.create_task(ring.run())
        assert passes(KEY)
        write("sk-third")
        await until(lambda: passes("sk-third"))
        assert not passes(KEY)
        os.unlink(file)
        await until(lambda: not passes("sk-third"))
        write(KEY)
        await until(lambda: passes(KEY))
        watching.cancel()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert len(said(caplog)) == 1  # one line for each change, not for each look


def test_a_watch_that_breaks_makes_the_pod_restart(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise ZeroDivisionError(path)

    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(module, "read_keys", broken)
    ring = web.serving.keys
    assert ring is not None
    with pytest.raises(ZeroDivisionError):
        asyncio.run(ring.run())
    answer = web.ask("GET", "/livez")
    assert answer.status_code == 503
    assert "API keys" in answer.json()["status"]


def test_a_line_that_cannot_be_a_key_is_told_by_its_number(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(f"{KEY}\nmy secret\n")
    assert status(web_with(api_keys_file=file), KEY) == 200
    assert vars(said(caplog)[0])["lines"] == (2,)
    assert "secret" not in caplog.text


def test_no_key_reaches_a_log_or_an_answer(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    texts = []
    with caplog.at_level(logging.DEBUG):
        for key in (KEY, "sk-guess"):
            answer = web.ask("POST", "/v1/embeddings", json=TEXT, headers=bearer(key))
            texts.append(answer.text + repr(answer.headers))
        web.pipeline.fault = RuntimeError("a fault with its stack trace")
        texts.append(web.ask("POST", "/embed", headers=bearer(KEY)).text)
    texts += [JsonFormatter().format(record) for record in caplog.records
              if record.name.startswith("embedding_service")]  # fmt: skip
    assert not [text for text in texts if KEY in text or "sk-guess" in text]


@given(st.binary(max_size=200))
def test_any_content_is_read_without_a_fault(content: bytes) -> None:
    keys = parse_keys(content)
    lines = content.count(b"\n") + 1
    assert len(keys.digests) + len(keys.bad_lines) <= lines
    assert all(1 <= number <= lines for number in keys.bad_lines)


@given(st.lists(st.from_regex(rb"\A[!-\"$-~][!-~]{0,40}\Z"), min_size=1, max_size=5))
def test_what_is_written_as_a_key_is_one(wanted: list[bytes]) -> None:
    assert parse_keys(b"\n".join(wanted)).digests == {sha256(key).digest() for key in wanted}
