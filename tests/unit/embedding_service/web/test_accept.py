"""The Accept header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_service.errors import ClientFault
from embedding_service.web.accept import choose

OFFERED = ("application/json", "application/x-npy")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", 0), ("  ", 0), ("*/*", 0), ("application/*", 0), ("application/json", 0),
        ("application/x-npy", 1), ("APPLICATION/X-NPY", 1), ("application/x-npy;v=1", 1),
        ("application/x-npy, */*", 1), ("application/json, application/x-npy", 0),
        ("application/json;q=0.5, application/x-npy", 1), ("application/x-npy;q=0.1, */*", 0),
        ("text/html, */*;q=0.8", 0), ("application/json;q=0, */*", 1),
        ("application/x-npy; q=nonsense", 1), ("application/x-npy;q=5", 1),
    ],
)  # fmt: skip
def test_the_wish_is_followed(accept: str, chosen: int) -> None:
    assert choose(accept, OFFERED) == OFFERED[chosen]


@pytest.mark.parametrize(
    "accept", ["text/html", "image/*", "application/json;q=0", "*/*;q=0", "json", ";q=1", ","]
)
def test_what_is_not_offered_is_406_with_what_is(accept: str) -> None:
    with pytest.raises(ClientFault, match="application/json or application/x-npy") as caught:
        choose(accept, OFFERED)
    assert caught.value.status == 406


@given(st.text(st.sampled_from("*/;,=. q01aeijnopsx-\u00b2"), max_size=60))
def test_any_header_gives_an_offered_form_or_406(accept: str) -> None:
    try:
        assert choose(accept, OFFERED) in OFFERED
    except ClientFault as fault:
        assert fault.status == 406  # noqa: PT017 - both ends are right, a third is not
