"""POST /embed."""

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from fakes.pipeline import IMAGE, vector_of
from fakes.web import Web, error_of, web_with

GOOD = IMAGE + b"good"


@pytest.fixture
def web(tmp_path: Path) -> Web:
    (tmp_path / "a.jpg").write_bytes(GOOD)
    (tmp_path / "notes.jpg").write_bytes(b"text")
    return web_with(image_folder=tmp_path, max_images_per_request=3, max_image_bytes=20)


def upload(web: Web, *files: tuple[str, bytes], **headers: str) -> httpx.Response:
    return web.ask("POST", "/embed", files=[("files", file) for file in files], headers=headers)


def name(web: Web, *names: Any) -> httpx.Response:
    return web.ask("POST", "/embed", json={"images": list(names)})


def test_an_upload_gives_vectors_by_file_name(web: Web) -> None:
    answer = upload(web, ("b.jpg", IMAGE + b"b"), ("a.jpg", GOOD))
    assert answer.status_code == 200
    document = answer.json()
    assert set(document) == {"embeddings", "errors"}
    assert document["errors"] == {}
    np.testing.assert_array_equal(np.float32(document["embeddings"]["a.jpg"]), vector_of(GOOD))
    assert web.count("embedding_requests_total", outcome="ok") == 1
    assert web.count("embedding_stage_duration_seconds_count", stage="serialise") == 1


def test_one_bad_image_fails_alone(web: Web) -> None:
    answer = upload(web, ("a.jpg", GOOD), ("empty.jpg", b""), ("big.jpg", bytes(21)))
    document = answer.json()
    assert answer.status_code == 200
    assert list(document["embeddings"]) == ["a.jpg"]
    assert document["errors"]["empty.jpg"] == {"code": "not_an_image", "message": "not an image"}
    assert document["errors"]["big.jpg"]["code"] == "too_large"
    assert "the limit is 20" in document["errors"]["big.jpg"]["message"]


def test_names_are_read_from_the_folder(web: Web) -> None:
    answer = name(web, "a.jpg", "notes.jpg", "../a.jpg")
    document = answer.json()
    np.testing.assert_array_equal(np.float32(document["embeddings"]["a.jpg"]), vector_of(GOOD))
    codes = {key: error["code"] for key, error in document["errors"].items()}
    assert codes == {"notes.jpg": "not_an_image", "../a.jpg": "forbidden_source"}
    assert web.count("embedding_stage_duration_seconds_count", stage="fetch") == 3


def test_an_array_has_the_rows_of_the_request(web: Web) -> None:
    answer = upload(web, ("a", b"text"), ("b", GOOD), accept="text/html, application/x-npy;q=0.9")
    assert answer.headers["content-type"] == "application/x-npy"
    assert answer.headers["x-failed-images"] == "1"
    array = np.load(io.BytesIO(answer.content))
    assert np.isnan(array[0]).all()
    np.testing.assert_array_equal(array[1], vector_of(GOOD))


def test_a_name_that_comes_twice_is_refused(web: Web) -> None:
    for answer in (upload(web, ("a", GOOD), ("a", GOOD)), name(web, "a.jpg", "a.jpg")):
        assert answer.status_code == 400
        assert error_of(answer)["code"] == "duplicate_name"


def test_too_many_images_are_refused_whole(web: Web) -> None:
    files = [(str(number), GOOD) for number in range(4)]
    for answer in (upload(web, *files), name(web, "1", "2", "3", "4")):
        assert answer.status_code == 413
        assert error_of(answer)["code"] == "too_many_images"


def test_without_a_folder_names_are_refused() -> None:
    answer = name(web_with(), "a.jpg")
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "no_image_folder"


@pytest.mark.parametrize(
    ("document", "field"),
    [({"images": []}, "images"), ({"images": "a.jpg"}, "images"), ({"images": [1]}, "images[0]"),
     ({}, "images"), ({"images": ["a"], "x": 1}, "x")],
)  # fmt: skip
def test_a_list_of_names_is_checked(web: Web, document: dict[str, Any], field: str) -> None:
    answer = web.ask("POST", "/embed", json=document)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == field


def test_another_content_type_says_what_to_send(web: Web) -> None:
    answer = web.ask("POST", "/embed", content=GOOD, headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    assert "multipart/form-data" in error_of(answer)["message"]


def test_a_form_without_files_is_refused(web: Web) -> None:
    head = {"content-type": "multipart/form-data; boundary=edge"}
    answer = web.ask("POST", "/embed", content=b"--edge--\r\n", headers=head)
    assert answer.status_code == 400


def test_a_body_that_is_cut_off_is_refused(web: Web) -> None:
    head = {"content-type": "multipart/form-data; boundary=edge"}
    body = b'--edge\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nabc'
    answer = web.ask("POST", "/embed", content=body, headers=head)
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "malformed_multipart"


def test_base64_holds_the_same_numbers(web: Web) -> None:
    files = [
        ("files", (name, data)) for name, data in (("b", IMAGE + b"b"), ("n", b"?"), ("a", GOOD))
    ]
    answer = web.ask("POST", "/embed", params={"encoding": "base64"}, files=files)
    document = answer.json()
    assert list(document["errors"]) == ["n"]
    for name, data in (("b", IMAGE + b"b"), ("a", GOOD)):
        numbers = np.frombuffer(base64.b64decode(document["embeddings"][name]), "<f4")
        np.testing.assert_array_equal(numbers, vector_of(data))


def test_base64_of_nothing_but_failures(web: Web) -> None:
    files = [("files", ("n", b"?"))]
    answer = web.ask("POST", "/embed", params={"encoding": "base64"}, files=files)
    assert answer.json()["embeddings"] == {}


def test_an_unknown_encoding_is_named(web: Web) -> None:
    answer = web.ask("POST", "/embed?encoding=hex", files=[("files", ("a.jpg", GOOD))])
    assert answer.status_code == 400
    assert error_of(answer)["param"] == "encoding"


def test_a_form_that_is_not_offered_is_406_and_costs_nothing(web: Web) -> None:
    answer = upload(web, ("a.jpg", GOOD), accept="text/csv")
    assert answer.status_code == 406
    assert error_of(answer)["code"] == "not_acceptable"
    assert "application/json or application/x-npy" in error_of(answer)["message"]
    assert web.pipeline.started == 0
