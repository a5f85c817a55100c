"""What the items of `input` are."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.errors import ClientFault
from embedding_service.web.failures import ItemFault
from embedding_service.web.items import sort_items

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["text", "image", "other"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_each_kind_keeps_its_place() -> None:
    items = sort_items(
        ["a cat", "data:image/png;base64,AAAA", {"image": "BBBB"}, {"text": "http://x"},
         "https://x/a.jpg"],
        9,
    )  # fmt: skip
    assert items.texts == {0: "a cat", 3: "http://x"}
    assert items.images == {1: "data:image/png;base64,AAAA", 2: "BBBB", 4: "https://x/a.jpg"}
    assert len(items) == 5


def test_one_item_needs_no_list() -> None:
    assert sort_items("a cat", 1).texts == {0: "a cat"}
    assert sort_items({"image": "AAAA"}, 1).images == {0: "AAAA"}


def test_strings_are_images_when_the_request_says_so() -> None:
    assert sort_items(["AAAA"], 1, strings_are_images=True).images == {0: "AAAA"}


@pytest.mark.parametrize(
    "item",
    [1, None, [1, 2], {}, {"text": 1}, {"image": None}, {"image": "A", "text": "b"},
     {"text": "a", "other": 1}, {"image": {"url": "x"}}, True],
)  # fmt: skip
def test_an_item_that_is_neither_is_named(item: object) -> None:
    with pytest.raises(ItemFault) as caught:
        sort_items(["a cat", item], 9)
    assert (caught.value.status, caught.value.param) == (400, "input[1]")


@pytest.mark.parametrize("given_input", [[], [""], {"text": ""}])
def test_nothing_to_embed_is_refused(given_input: object) -> None:
    with pytest.raises(ItemFault, match="empty"):
        sort_items(given_input, 9)


def test_the_limit_of_items_is_exact() -> None:
    assert len(sort_items(["a"] * 3, 3)) == 3
    with pytest.raises(ClientFault) as caught:
        sort_items(["a"] * 4, 3)
    assert (caught.value.status, caught.value.code) == (413, "too_many_images")


@settings(deadline=None)
@given(json_values)
def test_any_json_is_sorted_or_refused(value: Any) -> None:
    try:
        items = sort_items(value, 4)
    except ClientFault as fault:
        assert fault.status in {400, 413}  # noqa: PT017 - either way is right
    else:
        assert sorted([*items.texts, *items.images]) == list(range(len(items)))
