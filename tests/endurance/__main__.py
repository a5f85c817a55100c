"""`python -m endurance PROOF`: hold the real server process to what it promises under strain.

The law of this room: the server is the real process with the tiny model; traffic goes to
127.0.0.1 only and is bounded in time and count; programs measure and judge by their targets;
the tests beside them assert facts in seconds and never a timing.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from endurance import overload, retuning, slow, stopping
from endurance.process import ServerProcess
from endurance.targets import Row, finish


def main() -> int:
    """Run one proof; exit 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m endurance", description=__doc__)
    parser.add_argument("proof", choices=PROOFS)
    parser.add_argument("--seconds", type=float, default=300.0, help="of the main part")
    parser.add_argument("--changes", type=int, default=200, help="of the setting (retune)")
    parser.add_argument("--images", type=int, default=8, help="images a request (overload)")
    parser.add_argument("--settle", type=float, default=60.0, help="memory counts from here on")
    chosen = parser.parse_args()
    return 0 if finish(chosen.proof, PROOFS[chosen.proof](chosen)) else 1


def _overload(chosen: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    for expect in (False, True):
        seconds = chosen.seconds if not expect else chosen.seconds / 5
        note = ", Expect: 100-continue" if expect else ""
        print(f"overload: {overload.FACTOR:g} x the peak for {seconds:.0f} s{note}")
        course = overload.Course(seconds=seconds, images=chosen.images, expect=expect)
        course_settle = chosen.settle if not expect else min(chosen.settle, seconds / 3)
        with ServerProcess() as server:
            rows += overload.judge(overload.run(server, course), course_settle, note)
    return rows


def _slow(chosen: argparse.Namespace) -> list[Row]:
    print("slow clients beside normal ones")
    with ServerProcess() as server:
        return slow.judge(slow.run(server, slow.Crowd(), min(15.0, chosen.seconds / 8)))


def _stop(chosen: argparse.Namespace) -> list[Row]:
    print("SIGTERM under load")
    with ServerProcess(DRAIN_SECONDS=20) as server:
        return stopping.judge(stopping.stop_under_load(server, clients=16), 20)


def _retune(chosen: argparse.Namespace) -> list[Row]:
    print(f"{chosen.changes} changes of all knobs under load, through the mounted file")
    with tempfile.TemporaryDirectory() as folder:
        volume = retuning.TuningVolume(Path(folder))
        volume.write(retuning.HOME)
        with ServerProcess(TUNING_DIRECTORY=folder) as server:
            return retuning.judge(retuning.run(server, volume, chosen.changes))


def _soak(chosen: argparse.Namespace) -> list[Row]:
    return [*_retune(chosen), *_slow(chosen), *_stop(chosen)]


PROOFS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "overload": _overload,
    "slow": _slow,
    "stop": _stop,
    "retune": _retune,
    "soak": _soak,
}


if __name__ == "__main__":
    sys.exit(main())
