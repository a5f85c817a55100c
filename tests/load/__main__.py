"""`python -m load URL`: send photographs to a server on this machine and say what came back."""

import argparse
import sys
import time

from load.generator import Load, Plan
from load.photographs import photographs
from load.target import ForeignTargetError


def main() -> int:
    """Run one load and print its figures; exit 1 when a request failed."""
    parser = argparse.ArgumentParser(prog="python -m load", description=__doc__)
    parser.add_argument(
        "url", help="http://ADDRESS[:PORT] of the server; only loopback or the cluster"
    )
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--images", type=int, default=4, help="photographs a request")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--max-requests", type=int, default=100_000)
    parser.add_argument("--png", action="store_true", help="send the PNG files as well")
    chosen = parser.parse_args()
    files = photographs() if chosen.png else photographs(6)
    try:
        plan = Plan(
            chosen.url, files, chosen.clients, chosen.images, chosen.seconds, chosen.max_requests
        )
    except ForeignTargetError as error:
        print(f"load: {error}", file=sys.stderr)
        return 2
    print("photographs: " + ", ".join(str(file) for file in files))
    with Load(plan) as load:
        while load.running:
            began = time.monotonic()
            load.wait(5.0)
            print(load.figures(began))
    total = load.figures()
    print(f"all: {total}")
    for fault in total.faults:
        print(f"  {fault}")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
