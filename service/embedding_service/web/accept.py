"""Which form of an answer a client wants: the Accept header (RFC 9110, 12.5.1). Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from embedding_service.errors import ClientFault

MAX_RANGES: Final = 64
"""More media ranges than this are not looked at."""


def choose(accept: str, offered: Sequence[str]) -> str:
    """Return the offered media type with the highest quality.

    Between equals the one that is named more exactly wins, then the one that is offered first.

    Args:
        accept: the header; "" where the client sent none, which means that anything will do.
        offered: media types in lower case, the preferred one first.

    Raises:
        ClientFault: 406, nothing that is offered is acceptable; the message says what is.
    """
    if not accept.strip():
        return offered[0]
    ranges = list(_ranges(accept))
    best = max(offered, key=lambda kind: _rank(kind, ranges))
    if _rank(best, ranges)[0] <= 0:
        message = f"this route answers {' or '.join(offered)}; Accept names none of them"
        raise ClientFault(406, "not_acceptable", message)
    return best


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Give each media range and its quality."""
    for one in accept.split(",")[:MAX_RANGES]:
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        if kind:
            yield kind, _quality(parameters)


def _quality(parameters: Sequence[str]) -> float:
    """Return q, 1 where it is not there or is no number from 0 to 1."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            digits = value.strip()
            if digits.replace(".", "", 1).isascii() and digits.replace(".", "", 1).isdigit():
                return min(1.0, float(digits))
    return 1.0


def _rank(kind: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Return quality and exactness of the most exact range that matches."""
    family = kind.partition("/")[0] + "/*"
    exactness = {kind: 2, family: 1, "*/*": 0}
    matches = [(exactness[one], quality) for one, quality in ranges if one in exactness]
    if not matches:
        return 0.0, -1
    most = max(exact for exact, _ in matches)
    return max(quality for exact, quality in matches if exact == most), most
