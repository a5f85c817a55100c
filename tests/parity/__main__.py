"""Compare every picture under every configuration and print each: python -m parity (minutes)."""

import sys
from pathlib import Path

from parity.comparison import CONFIGURATIONS, REAL, Found, compare, network_for, seen
from parity.figures import table_of, targets_of
from parity.pictures import pictures


def main() -> int:
    """Return 0 when every figure is within the contract."""
    found: list[Found] = []
    seen_pictures = seen(pictures())
    for configuration in CONFIGURATIONS:
        network = network_for(configuration, real=configuration is REAL)
        for one in compare(configuration, seen_pictures, network):
            found.append(one)
            print(
                f"{one.configuration:46}{one.kind:15}{one.picture:28}"
                f"{one.difference:7.3f}{one.cosine:10.6f}"
            )
    print(*table_of(found), sep="\n")
    targets = targets_of(found)
    targets.write(Path(__file__).parents[2] / "reports/parity.json")
    return 1 if targets.missed else 0


if __name__ == "__main__":
    sys.exit(main())
