"""Quantities in every spelling."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from embedding_operator.api.quantity import Quantity, cores_text, parse_quantity, same_quantity

AMOUNTS = st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1", "1"), ("500m", "0.5"), ("0.5", "0.5"), ("4Gi", str(4 * 2**30)), ("2k", "2000")],
)
def test_an_amount_is_read(text: str, amount: str) -> None:
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "two", "1 Gi", "-1", "1gi", "1e3", ".5", "1Gib"])
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write for example 500m, 2 or 4Gi"):
        parse_quantity(text)


@given(AMOUNTS)
def test_the_same_amount_is_the_same_in_every_spelling(amount: int) -> None:
    assert same_quantity(f"{amount}", f"{amount * 1000}m")
    assert same_quantity(amount, str(amount))
    assert same_quantity(f"{amount}Gi", f"{amount * 1024}Mi")


@given(AMOUNTS, AMOUNTS)
def test_different_amounts_differ(one: int, other: int) -> None:
    assert same_quantity(f"{one}m", f"{other}m") == (one == other)


@pytest.mark.parametrize(("text", "cores"), [("500m", "0.5"), ("2", "2"), ("1500m", "1.5")])
def test_cores_are_plain_numbers(text: str, cores: str) -> None:
    assert cores_text(text) == cores


def test_a_number_and_a_text_become_text() -> None:
    adapter: TypeAdapter[str] = TypeAdapter(Quantity)
    assert (adapter.validate_python(2), adapter.validate_python("2Gi")) == ("2", "2Gi")
    with pytest.raises(ValidationError):
        adapter.validate_python(True)
