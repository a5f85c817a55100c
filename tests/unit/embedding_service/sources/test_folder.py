"""Names in the image folder."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding_service.errors import ImageFailure
from embedding_service.sources import folder as folder_module
from embedding_service.sources.folder import FolderSource


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"aaa")
    (folder / "sub" / "b.jpg").write_bytes(b"bb")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "images-too").mkdir()
    (tmp_path / "images-too" / "c.jpg").write_bytes(b"secret")
    return folder


@pytest.fixture
def source(folder: Path) -> Iterator[FolderSource]:
    source = FolderSource(folder, 10)
    yield source
    source.close()


def read(source: FolderSource, *names: str) -> list[bytes | ImageFailure]:
    return asyncio.run(source.read(names))


def code(source: FolderSource, name: str) -> str:
    (outcome,) = read(source, name)
    assert isinstance(outcome, ImageFailure)
    return outcome.code


def test_images_come_in_the_order_of_their_names(source: FolderSource) -> None:
    assert read(source, "sub/b.jpg", "a.jpg", "./a.jpg") == [b"bb", b"aaa", b"aaa"]


def test_many_names_keep_their_order(folder: Path, source: FolderSource) -> None:
    for number in range(50):
        (folder / f"{number}").write_bytes(str(number).encode())
    names = [str(number) for number in range(50)]
    assert read(source, *names) == [name.encode() for name in names]


def test_one_bad_name_fails_alone(source: FolderSource) -> None:
    first, second = read(source, "missing.jpg", "a.jpg")
    assert isinstance(first, ImageFailure)
    assert first.code == "not_found"
    assert second == b"aaa"


@pytest.mark.parametrize(
    "name", ["../secret", "sub/../../secret", "/etc/passwd", "", "a\0b", "x" * 1025, "\ud800"]
)
def test_a_name_that_cannot_be_inside_is_forbidden(source: FolderSource, name: str) -> None:
    assert code(source, name) == "forbidden_source"


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "../images-too/c.jpg", ".."])
def test_a_link_may_not_lead_out(folder: Path, source: FolderSource, target: str) -> None:
    (folder / "link").symlink_to(target)
    assert code(source, "link") == "forbidden_source"


def test_a_linked_folder_may_not_lead_out(folder: Path, source: FolderSource) -> None:
    (folder / "door").symlink_to("../images-too")
    assert code(source, "door/c.jpg") == "forbidden_source"


@pytest.mark.parametrize("name", ["door/c.jpg", "link"])
def test_a_link_that_appears_after_the_look_does_not_lead_out(
    folder: Path, source: FolderSource, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def looked_before(root: str, name: str) -> str:
        return f"{root}/{name}"

    monkeypatch.setattr(folder_module, "_inside", looked_before)
    (folder / "door").symlink_to("../images-too")
    (folder / "link").symlink_to("../secret")
    (outcome,) = read(source, name)
    assert isinstance(outcome, ImageFailure)


def test_a_link_inside_is_followed(folder: Path, source: FolderSource) -> None:
    (folder / "link").symlink_to("sub/b.jpg")
    assert read(source, "link") == [b"bb"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "current").symlink_to(folder.name)
    source = FolderSource(tmp_path / "current", 10)
    assert read(source, "a.jpg") == [b"aaa"]
    source.close()


def test_a_link_to_itself_is_an_error_of_that_name(folder: Path, source: FolderSource) -> None:
    (folder / "loop").symlink_to("loop")
    assert code(source, "loop") in {"upstream_error", "not_found", "forbidden_source"}


def test_only_regular_files_are_read(folder: Path, source: FolderSource) -> None:
    os.mkfifo(folder / "pipe")
    assert code(source, "pipe") == "forbidden_source"
    assert code(source, "sub") == "forbidden_source"
    assert code(source, ".") == "forbidden_source"


def test_a_file_as_a_folder_is_not_found(source: FolderSource) -> None:
    assert code(source, "a.jpg/b.jpg") == "not_found"


def test_the_size_is_checked_before_reading(folder: Path, source: FolderSource) -> None:
    (folder / "limit.jpg").write_bytes(bytes(10))
    assert read(source, "limit.jpg") == [bytes(10)]
    with (folder / "big.jpg").open("wb") as file:
        file.truncate(1 << 40)
    assert code(source, "big.jpg") == "too_large"


def test_each_read_is_heard(folder: Path) -> None:
    heard: list[float] = []
    source = FolderSource(folder, 10, heard.append)
    read(source, "a.jpg", "missing")
    source.close()
    assert len(heard) == 2


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)
@given(st.lists(st.sampled_from(["..", ".", "sub", "a.jpg", "b.jpg", "", "secret", "..data"])))
def test_no_way_of_writing_a_name_reads_the_secret(source: FolderSource, steps: list[str]) -> None:
    (outcome,) = read(source, "/".join(steps))
    assert isinstance(outcome, ImageFailure) or outcome in {b"aaa", b"bb"}
