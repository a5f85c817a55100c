"""Images by address, and raw bodies, through both routes."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from fakes.picture_host import picture_host, plain, redirect
from fakes.pipeline import IMAGE, vector_of
from fakes.waiting import until
from fakes.web import Web, error_of, over_socket, web_with

GOOD = IMAGE + b"good"
ROUTES = {"/a": plain(GOOD), "/text": plain(b"text"), "/away": redirect("http://169.254.169.254/")}
RAW = {"content-type": "image/jpeg"}


def ask(web: Web, path: str, document: Any) -> httpx.Response:
    """Send `document` with `{host}` in it replaced by the address of a host of pictures."""

    async def run() -> httpx.Response:
        async with picture_host(dict(ROUTES)) as host, over_socket(web) as client:
            text = json.dumps(document).replace("{host}", host.url(""))
            answer = await client.post(
                path, content=text, headers={"content-type": "application/json"}
            )
            await web.serving.sources.close()
            answer.extensions["host"] = host.url("")
            return answer

    return asyncio.run(run())


def test_references_are_answered_under_the_names_that_were_given(tmp_path: Path) -> None:
    (tmp_path / "c.jpg").write_bytes(GOOD + b"c")
    web = web_with(fetch_urls="any", image_folder=tmp_path)
    names = ["c.jpg", "{host}/a?signature=x", "{host}/none", "{host}/text", "{host}/away",
             "s3://b/k", "gs://b/k", "none.jpg"]  # fmt: skip
    answer = ask(web, "/embed", {"images": names})
    assert answer.status_code == 200
    place = answer.extensions["host"]
    document = answer.json()
    assert list(document["embeddings"]) == ["c.jpg", f"{place}/a?signature=x"]
    np.testing.assert_array_equal(
        np.float32(document["embeddings"][f"{place}/a?signature=x"]), vector_of(GOOD)
    )
    codes = {name.removeprefix(place): error["code"] for name, error in document["errors"].items()}
    assert codes == {
        "/none": "not_found", "/text": "not_an_image", "/away": "forbidden_source",
        "s3://b/k": "forbidden_source", "gs://b/k": "forbidden_source", "none.jpg": "not_found",
    }  # fmt: skip
    assert "EMBEDDING_OBJECT_PREFIXES" in document["errors"]["s3://b/k"]["message"]
    assert web.count("embedding_stage_duration_seconds_count", stage="fetch") == len(names)


def test_addresses_need_no_folder() -> None:
    web = web_with(fetch_urls="any")
    answer = ask(web, "/embed", {"images": ["{host}/a", "c.jpg"]})
    assert answer.status_code == 200
    assert answer.json()["errors"]["c.jpg"]["code"] == "forbidden_source"


def test_a_private_host_is_refused() -> None:
    answer = ask(web_with(fetch_urls="public"), "/embed", {"images": ["{host}/a"]})
    (error,) = answer.json()["errors"].values()
    assert error["code"] == "forbidden_source"
    assert "not public" in error["message"]


def test_a_double_is_named_without_its_signature() -> None:
    url = "https://a.example/b.jpg?signature=secret"
    answer = web_with().ask("POST", "/embed", json={"images": [url, url]})
    assert error_of(answer)["code"] == "duplicate_name"
    assert "secret" not in answer.text


def test_items_are_fetched_in_their_order() -> None:
    web = web_with(fetch_urls="any")
    uri = "data:image/png;base64,aW1hZ2U6Yg=="
    items = ["a cat", "{host}/a", uri, {"image": "{host}/a"}, {"text": "{host}/a"}]
    answer = ask(web, "/v1/embeddings", {"input": items})
    assert answer.status_code == 200, answer.text
    rows = [np.float32(row["embedding"]) for row in answer.json()["data"]]
    wanted = [b"a cat", GOOD, b"image:b", GOOD, f"{answer.extensions['host']}/a".encode()]
    for row, data in zip(rows, wanted, strict=True):
        np.testing.assert_array_equal(row, vector_of(data))
    assert answer.json()["usage"]["num_images"] == 3


def test_an_item_that_cannot_be_fetched_is_named() -> None:
    web = web_with(fetch_urls="any")
    answer = ask(web, "/v1/embeddings", {"input": ["{host}/a", "{host}/none?signature=secret"]})
    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["param"], error["code"]) == ("input[1]", "not_found")
    assert "secret" not in answer.text
    assert web.count("embedding_images_total", outcome="failed") == 1


def test_with_the_modality_image_a_string_is_an_address_too() -> None:
    web = web_with(fetch_urls="any")
    document = {"input": ["{host}/a", "aW1hZ2U6Yg=="], "modality": "image"}
    assert ask(web, "/v1/embeddings", document).status_code == 200


def test_a_client_that_leaves_frees_its_permit_and_the_connection() -> None:
    async def run() -> None:
        web = web_with(fetch_urls="any", semaphore_size=1)
        async with picture_host(dict(ROUTES)) as host, over_socket(web) as client:

            async def slow(writer: asyncio.StreamWriter) -> None:
                await asyncio.Event().wait()

            host.routes["/slow"] = slow
            document = {"images": [host.url("/slow")]}
            asking = asyncio.create_task(client.post("/embed", json=document))
            await until(lambda: host.open == 1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            answer = await client.post("/embed", json={"images": [host.url("/a")]})
            assert list(answer.json()["embeddings"]) == [host.url("/a")]
            assert web.count("embedding_requests_total", outcome="cancelled") == 1
            await web.serving.sources.close()

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["image/jpeg", "IMAGE/x; a=b", "application/octet-stream"])
def test_a_raw_body_is_one_image(kind: str) -> None:
    web = web_with()
    answer = web.ask("POST", "/embed", content=GOOD, headers={"content-type": kind})
    assert answer.status_code == 200
    vector = np.float32(answer.json()["embeddings"]["image"])
    np.testing.assert_array_equal(vector, vector_of(GOOD))


@pytest.mark.parametrize(
    ("query", "disposition", "name"),
    [
        ("?name=a%2Fb.jpg", "", "a/b.jpg"),
        ("?name=a.jpg", 'attachment; filename="c.jpg"', "a.jpg"),
        ("", 'attachment; filename="c d.jpg"', "c d.jpg"),
        ("", "attachment; filename*=UTF-8''%C3%BC.jpg", "ü.jpg"),
        ("?name=", "attachment", "image"),
        ("", "", "image"),
    ],
)
def test_a_raw_image_has_the_name_that_it_is_given(query: str, disposition: str, name: str) -> None:
    headers = RAW | ({"content-disposition": disposition} if disposition else {})
    answer = web_with().ask("POST", f"/embed{query}", content=GOOD, headers=headers)
    assert list(answer.json()["embeddings"]) == [name]


def test_the_limit_of_a_raw_image_is_exact_and_it_fails_alone() -> None:
    web = web_with(max_image_bytes=len(GOOD))
    assert web.ask("POST", "/embed", content=GOOD, headers=RAW).json()["errors"] == {}
    for content in (GOOD + b"x", [GOOD, b"x"]):

        async def pieces(content: Any = content) -> Any:
            for piece in content:
                yield piece

        body = pieces() if isinstance(content, list) else content
        answer = web.ask("POST", "/embed", content=body, headers=RAW)
        assert answer.status_code == 200
        assert answer.json()["errors"]["image"]["code"] == "too_large"


def test_a_raw_body_may_be_bad_or_empty() -> None:
    web = web_with()
    answer = web.ask("POST", "/embed", content=b"text", headers=RAW)
    assert answer.json()["errors"]["image"]["code"] == "not_an_image"
    assert error_of(web.ask("POST", "/embed", content=b"", headers=RAW))["code"] == "no_images"


def test_a_name_that_is_too_long_is_refused() -> None:
    answer = web_with().ask("POST", f"/embed?name={'x' * 1025}", content=GOOD, headers=RAW)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "invalid_value")


def test_a_raw_image_gives_an_array_too() -> None:
    answer = web_with().ask(
        "POST", "/embed", content=GOOD, headers=RAW | {"accept": "application/x-npy"}
    )
    np.testing.assert_array_equal(np.load(io.BytesIO(answer.content)), [vector_of(GOOD)])
