"""The items of OpenAI's `input`: what is a text, what is an image, and what is refused.

A string is a text, unless it is a data URI or the address of an image, which is fetched.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from embedding_service.errors import ClientFault, ImageFailure
from embedding_service.sources.inline import DATA_URI_PREFIX, is_reference, read_image_text
from embedding_service.sources.reference import kind_of
from embedding_service.web.failures import ItemFault, item_fault
from embedding_service.web.serving import Serving
from embedding_service.web.trace import Trace

OFFLOADED_CHARACTERS: Final = 256 * 1024
"""More base64 than this is decoded in a thread: the event loop must not stop for milliseconds."""


_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Items:
    """The items by kind. The numbers are places in the request's `input`."""

    texts: dict[int, str]
    images: dict[int, str]

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self.texts) + len(self.images)


def sort_items(given: object, max_items: int, *, strings_are_images: bool = False) -> Items:
    """Sort `input` into texts and images.

    Args:
        given: the JSON value of `input`.
        max_items: more are refused.
        strings_are_images: plain strings are base64 of images, as `modality: image` says.

    Raises:
        ClientFault: 413 too many; 400 with the item that is not understood.
    """
    items = given if isinstance(given, list) else [given]
    if not items:
        raise ItemFault("input", "invalid_value", "input is empty")
    if len(items) > max_items:
        message = f"input has {len(items)} items, the limit is {max_items}"
        raise ClientFault(413, "too_many_images", message)
    sorted_items = Items({}, {})
    for place, item in enumerate(items):
        _sort_one(sorted_items, place, item, strings_are_images=strings_are_images)
    return sorted_items


def _sort_one(into: Items, place: int, item: object, *, strings_are_images: bool) -> None:
    match item:
        case str() if strings_are_images or _names_image(item):
            into.images[place] = item
        case {"image": str(image), **rest} if not rest:
            into.images[place] = image
        case "" | {"text": ""}:
            raise ItemFault(f"input[{place}]", "invalid_value", f"input[{place}]: empty text")
        case str():
            into.texts[place] = item
        case {"text": str(text), **rest} if not rest:
            into.texts[place] = text
        case int() | [int(), *_]:
            raise ItemFault(
                f"input[{place}]",
                "tokens_not_supported",
                f"input[{place}] is tokens, which this server does not take: send the text itself",
            )
        case _:
            raise _not_understood(place)


def _names_image(text: str) -> bool:
    return text[: len(DATA_URI_PREFIX)].lower() == DATA_URI_PREFIX or is_reference(text)


def _not_understood(place: int) -> ItemFault:
    return ItemFault(
        f"input[{place}]",
        "invalid_value",
        f'input[{place}] must be a text, a data URI, {{"text": "..."}} or {{"image": "..."}}',
    )


async def read_images(items: Items, serving: Serving, trace: Trace) -> list[bytes]:
    """Decode the inline images and fetch the others.

    Raises:
        ItemFault: of the first image that failed: OpenAI's shape has no errors for items.
    """
    images = items.images.items()
    elsewhere = {place: text for place, text in images if kind_of(text) != "name"}
    inline = {place: text for place, text in images if place not in elsewhere}
    with trace.span("fetch"):
        decoded = await _decode(list(inline.values()), serving)
        fetched = await serving.sources.read(list(elsewhere.values()))
    by_place = dict(zip(inline, decoded, strict=True)) | dict(zip(elsewhere, fetched, strict=True))
    found = [by_place[place] for place in items.images]
    failed = sum(isinstance(image, ImageFailure) for image in found)
    if failed:
        serving.instruments.images_finished(ok=0, failed=failed)
    return all_or_fault(list(items.images), found, trace)


async def _decode(texts: Sequence[str], serving: Serving) -> list[bytes | ImageFailure]:
    max_bytes = serving.settings.max_image_bytes
    if sum(map(len, texts)) <= OFFLOADED_CHARACTERS:
        return [_timed(text, max_bytes, serving) for text in texts]
    return await asyncio.to_thread(
        lambda: [_timed_in_thread(text, max_bytes, serving) for text in texts]
    )


def all_or_fault(
    places: Sequence[int], found: Sequence[_Found | ImageFailure], trace: Trace
) -> list[_Found]:
    """Return `found` when nothing in it failed.

    Raises:
        ItemFault: the first failure, with its place in `input`.
    """
    good = [one for one in found if not isinstance(one, ImageFailure)]
    trace.failed_items = len(found) - len(good)
    for place, one in zip(places, found, strict=True):
        if isinstance(one, ImageFailure):
            raise item_fault(place, one)
    return good


def _timed(text: str, max_bytes: int, serving: Serving) -> bytes | ImageFailure:
    started = time.perf_counter()
    image = read_image_text(text, max_bytes)
    serving.instruments.stage("fetch", time.perf_counter() - started)
    return image


def _timed_in_thread(text: str, max_bytes: int, serving: Serving) -> bytes | ImageFailure:
    """Decode outside the loop's thread: base64 holds the interpreter lock all the while."""
    started = time.thread_time()
    image = _timed(text, max_bytes, serving)
    serving.instruments.gil_busy(time.thread_time() - started)
    return image
