"""Events: the same one again is one object that counts."""

from embedding_operator.clients import events as module
from embedding_operator.clients.cluster import ServiceEvent
from embedding_operator.clients.events import EventBook
from fakes.plans import service

CLIP = service("clip")
EVENT = ServiceEvent("Warning", "CrashLoop", "pod a exited 1")


def test_the_same_event_counts_up() -> None:
    book = EventBook()
    first, second = book.entry(CLIP, EVENT, 0.0), book.entry(CLIP, EVENT, 60.0)
    assert first["metadata"]["name"] == second["metadata"]["name"]
    assert (first["count"], second["count"]) == (1, 2)
    assert second["firstTimestamp"] == "1970-01-01T00:00:00Z"
    assert second["lastTimestamp"] == "1970-01-01T00:01:00Z"


def test_another_event_is_another_object() -> None:
    book = EventBook()
    other = ServiceEvent("Warning", "CrashLoop", "pod b exited 1")
    names = {book.entry(CLIP, each, 0.0)["metadata"]["name"] for each in (EVENT, other)}
    assert len(names) == 2


def test_the_name_survives_a_restart_of_the_operator() -> None:
    names = {EventBook().entry(CLIP, EVENT, 0.0)["metadata"]["name"] for _ in range(2)}
    assert len(names) == 1


def test_it_points_at_the_resource() -> None:
    entry = EventBook().entry(CLIP, EVENT, 0.0)
    assert entry["involvedObject"]["kind"] == "EmbeddingService"
    assert entry["involvedObject"]["uid"] == "uid-1"
    assert entry["metadata"]["namespace"] == "default"


def test_memory_is_bounded_and_messages_are_cut() -> None:
    book = EventBook()
    for index in range(module.REMEMBERED + 10):
        entry = book.entry(CLIP, ServiceEvent("Normal", "X", f"{index}" + "x" * 5000), 0.0)
    assert len(book._seen) == module.REMEMBERED
    assert len(entry["message"]) == module.MAX_MESSAGE
