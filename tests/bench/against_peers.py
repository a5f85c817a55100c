"""`make bench-peers`: Sluice against infinity-emb and LitServe, in turns, on this machine.

Same shape and weights of the tiny model, same precision (fp32), same photographs, same client; each
server is asked in its own request format. Writes reports/peers.md, peers.json and a plot.
"""

import argparse
import logging
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from bench.client import cosine
from bench.images import described, written
from bench.peers.environment import PeerMissing
from bench.peers.model import write_models
from bench.peers.programs import PEERS, Peer
from bench.peers.report import Against, Key, PeerFindings, write_report
from bench.processes import ROOT, DidNotStart, Program, running
from bench.runs import Load, Run, loaded, sluice
from bench.targets import table

SETS = ("vga", "fhd")
CLIENTS = (6, 30)
LEAST, MOST = 16, 32
"""Images a request. infinity-emb takes 32 at most."""

DRAIN_SECONDS = 60.0


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.against_peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short windows, one turn: a try")
    parser.add_argument("--sets", default=",".join(SETS), help="of vga, fhd")
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS))
    parser.add_argument("--pairs", type=int, help="turns; default 3, with --quick 1")
    parser.add_argument("--seconds", type=float, help="of one window; default 12, with --quick 4")
    chosen = parser.parse_args()
    chosen.pairs = chosen.pairs or (1 if chosen.quick else 3)
    chosen.seconds = chosen.seconds or (4.0 if chosen.quick else 12.0)
    chosen.sets, chosen.peers = chosen.sets.split(","), chosen.peers.split(",")
    if set(chosen.sets) - set(SETS) or set(chosen.peers) - {peer.name for peer in PEERS}:
        parser.error("unknown image set or peer")
    return chosen


@dataclass(slots=True)
class Turn:
    """What each server did in one turn, by image set and clients."""

    runs: dict[str, dict[Key, Run]] = field(default_factory=dict)


class Bench:
    """The whole run."""

    def __init__(self, chosen: argparse.Namespace, folder: Path) -> None:
        self._chosen = chosen
        self._began = time.monotonic()
        self._files = {name: written(name, folder) for name in chosen.sets}
        self._models = write_models(folder / "models")
        sets = {name: described(name, files) for name, files in self._files.items()}
        self.findings = PeerFindings(chosen.pairs, chosen.seconds, (LEAST, MOST), sets)

    def run(self) -> None:
        """Install, then measure in turns; a peer that is not there is said to be so."""
        programs = self._installed()
        turns = [self._turn(number, programs) for number in range(self._chosen.pairs)]
        for peer, _ in programs:
            for key in ((name, clients) for name in self._chosen.sets for clients in CLIENTS):
                pairs = [
                    (turn.runs[peer.name][key], turn.runs["Sluice"][key])
                    for turn in turns
                    if peer.name in turn.runs
                ]
                if pairs:
                    lowest, others = _lowest_cosine(pairs), _nearest_other(pairs)
                    self.findings.rows.append(Against(peer, key, pairs, lowest, others))
        self.findings.minutes = (time.monotonic() - self._began) / 60

    def _installed(self) -> list[tuple[Peer, Program]]:
        found = []
        for peer in PEERS:
            if peer.name not in self._chosen.peers:
                continue
            try:
                found.append((peer, peer.program(self._models)))
            except PeerMissing as missing:
                self._missing(peer, missing)
        return found

    def _missing(self, peer: Peer, reason: Exception) -> None:
        self.findings.missing[peer.name] = str(reason)
        self._say(f"{peer.name} IS NOT MEASURED: {reason}")

    def _turn(self, number: int, programs: list[tuple[Peer, Program]]) -> Turn:
        turn = Turn()
        for peer, program in programs:
            if peer.name in self.findings.missing:
                continue
            self._say(f"turn {number + 1} of {self._chosen.pairs}: {peer.name}")
            try:
                turn.runs[peer.name] = self._all_loads(program, peer.wire)
            except DidNotStart as reason:
                self._missing(peer, reason)
        self._say(f"turn {number + 1} of {self._chosen.pairs}: Sluice")
        turn.runs["Sluice"] = self._all_loads(sluice("sluice-tiny", "fp32", None), "multipart")
        return turn

    def _all_loads(self, program: Program, wire: str) -> dict[Key, Run]:
        runs = {}
        with running(program) as server:
            for name, files in self._files.items():
                for clients in CLIENTS:
                    load = Load(clients, self._chosen.seconds, LEAST, MOST, wire, DRAIN_SECONDS)
                    title = f"{program.name} {name} {clients}"
                    runs[name, clients] = loaded(title, server, files, load)
        return runs

    def _say(self, text: str) -> None:
        print(f"[{(time.monotonic() - self._began) / 60:4.1f} min] {text}", flush=True)


def _lowest_cosine(pairs: list[tuple[Run, Run]]) -> float | None:
    """The lowest cosine of a photograph's vector to ours; None when nobody answered in time."""
    cosines = [
        cosine(vector, ours.result.vectors[photograph])
        for theirs, ours in pairs
        for photograph, vector in theirs.result.vectors.items()
        if photograph in ours.result.vectors
    ]
    return min(cosines, default=None)


def _nearest_other(pairs: list[tuple[Run, Run]]) -> float | None:
    """The highest cosine between different photographs, in our own vectors."""
    vectors = [ours.result.vectors for _, ours in pairs]
    cosines = [
        cosine(known[one], known[other])
        for known in vectors
        for one, other in combinations(sorted(known), 2)
    ]
    return max(cosines, default=None)


def main() -> int:
    """Run it all; exit 1 when a target was missed."""
    chosen = options()
    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns that random weights are random
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(chosen, Path(folder))
        bench.run()
    targets = write_report(bench.findings, ROOT / "reports")
    print(table(targets))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
