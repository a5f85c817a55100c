"""Kubernetes quantities: read, compare and write amounts such as 500m, 0.5, 1Gi. Pure."""

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$"
_SUFFIXES: Final = {
    "": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6),
    "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
    "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def parse_quantity(text: str) -> Decimal:
    """Return the amount in its base unit (cores, bytes, pieces).

    Raises:
        ValueError: the text is not a quantity.
    """
    found = re.match(r"^([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)$", text)
    if found is None or found[2] not in _SUFFIXES:
        raise ValueError(f"{text!r} is not a quantity: write for example 500m, 2 or 4Gi")
    return Decimal(found[1]) * _SUFFIXES[found[2]]


def same_quantity(left: Any, right: Any) -> bool:
    """Whether two spellings mean the same amount; what is no quantity is compared as it is."""
    try:
        return parse_quantity(str(left)) == parse_quantity(str(right))
    except ValueError:
        return bool(left == right)


def cores_text(quantity: str) -> str:
    """A CPU quantity as plain cores: 500m is 0.5, 2 is 2."""
    return f"{parse_quantity(quantity).normalize():f}"


def _checked(text: str) -> str:
    parse_quantity(text)
    return text


def _spelled(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    BeforeValidator(_spelled),
    AfterValidator(_checked),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": _PATTERN,
        }
    ),
]
"""An amount: a whole number, or text such as 500m or 4Gi. Kept as text."""
