"""The table of the contract: configuration and kind of picture -> worst figures."""

from collections.abc import Iterable
from typing import Final

from inside.targets import Targets

from parity.comparison import MAX_DIFFERENCE, MIN_COSINE, Found

_NAME: Final = 46


def targets_of(found: Iterable[Found]) -> Targets:
    """Return the worst figures of each configuration and kind beside what is allowed."""
    targets = Targets()
    for (configuration, kind), some in _grouped(found).items():
        what = f"{configuration}, {kind}"
        worst = max(one.difference for one in some)
        targets.most(f"pixels, {what}", "of 255, mean of a picture", worst, MAX_DIFFERENCE)
        targets.least(f"vectors, {what}", "cosine", min(one.cosine for one in some), MIN_COSINE)
    return targets


def table_of(found: Iterable[Found]) -> list[str]:
    """Return the lines that a person reads: worst pixel difference and worst cosine."""
    grouped = _grouped(found)
    kinds = list(dict.fromkeys(kind for _, kind in grouped))
    lines = ["".ljust(_NAME) + "".join(kind.rjust(max(len(kind) + 2, 9)) for kind in kinds)]
    for configuration in dict.fromkeys(name for name, _ in grouped):
        pixels, cosines = configuration.ljust(_NAME), "  least cosine".ljust(_NAME)
        for kind in kinds:
            some, width = grouped[configuration, kind], max(len(kind) + 2, 9)
            pixels += f"{max(one.difference for one in some):.3f}".rjust(width)
            cosines += f"{min(one.cosine for one in some):.5f}".rjust(width)
        lines += [pixels, cosines]
    return lines


def _grouped(found: Iterable[Found]) -> dict[tuple[str, str], list[Found]]:
    grouped: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        grouped.setdefault((one.configuration, one.kind), []).append(one)
    return grouped
