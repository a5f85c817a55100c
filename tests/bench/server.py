"""`make bench-server`: Sluice against the origin's design, in pairs, on this machine.

Both run as processes on loopback, in turn (A B A B), fed by the same client with the same images;
the ratio of each pair counts, not the seconds. Writes reports/server.md, server.json and plots.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.findings import Choice, Findings, Row
from bench.images import SIZES, described, written
from bench.parts_alone import (
    account_for,
    cosines_for,
    many_clients_for,
    one_image_for,
    own_choice_for,
)
from bench.processes import ROOT
from bench.report import write_report
from bench.runs import Knobs, Load, Run, origin, run_alone, settings_of, sluice
from bench.targets import table
from bench.tasks import forward_of

ORIGIN_KNOBS = (Knobs(1, 4), Knobs(4, 8))
"""The two settings that the origin was tested with. The better one on the day is the baseline."""

TRY_SHARE = 0.6
"""Of a window, to find out which setting is the better one."""

CASES = (
    ("sluice-tiny", "fp32", "vga", 1.0),
    ("sluice-tiny", "fp32", "fhd", 1.0),
    ("sluice-tiny", "fp32", "12mp", 1.5),
    ("ViT-B-32", "bf16", "vga", 4.0),
)
"""Model, Sluice's precision, image set, and how many times the window is longer: where an image
takes long, few answers fall into a window."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.server", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short windows, one pair: a try")
    parser.add_argument("--sets", default=",".join(SIZES), help="of vga, fhd, 12mp")
    parser.add_argument("--models", default="sluice-tiny,ViT-B-32")
    parser.add_argument("--pairs", type=int, help="default 3, with --quick 1")
    parser.add_argument("--seconds", type=float, help="of one window; default 10, with --quick 4")
    parser.add_argument("--clients", type=int, default=30)
    chosen = parser.parse_args()
    chosen.pairs = chosen.pairs or (1 if chosen.quick else 3)
    chosen.seconds = chosen.seconds or (4.0 if chosen.quick else 10.0)
    chosen.sets, chosen.models = chosen.sets.split(","), chosen.models.split(",")
    if unknown := set(chosen.sets) - set(SIZES):
        parser.error(f"no image set is called {', '.join(sorted(unknown))}")
    if min(chosen.pairs, chosen.clients) < 1 or chosen.seconds < 1:
        parser.error("pairs, clients and seconds are 1 at least")
    return chosen


class Bench:
    """The whole run; each part prints what it does."""

    def __init__(self, chosen: argparse.Namespace, folder: Path) -> None:
        self._chosen = chosen
        self._began = time.monotonic()
        names = dict.fromkeys([*chosen.sets, "vga"])  # one image and the check use VGA
        self._files = {name: written(name, folder) for name in names}
        sets = {name: described(name, files) for name, files in self._files.items()}
        self.findings = Findings(
            clients=chosen.clients, pairs=chosen.pairs, seconds=chosen.seconds, sets=sets
        )

    def run(self) -> None:
        """Measure everything that was asked for."""
        for name, text in self.findings.sets.items():
            self._say(f"image set {name}: {text}")
        for model, precision, name, factor in CASES:
            if model in self._chosen.models and name in self._chosen.sets:
                self._case(model, precision, name, factor)
        for row in self.findings.rows:
            if (row.model, row.precision) not in self.findings.cosines:
                self._say(f"cosine to the origin's vectors, {row.model} {row.precision}")
                cosines = cosines_for(row.model, row.precision, row.knobs, self._files["vga"])
                self.findings.cosines[row.model, row.precision] = cosines
        tiny = self.findings.row("sluice-tiny", "fhd")
        if tiny is not None:
            self._closer(tiny)
        self.findings.minutes = (time.monotonic() - self._began) / 60

    def _case(self, model: str, precision: str, name: str, factor: float) -> None:
        files, load = self._files[name], Load(self._chosen.clients, self._chosen.seconds * factor)
        self._say(f"{model}, {name}: which setting of the origin's design is the better one")
        short = Load(load.clients, TRY_SHARE * load.seconds)
        choices = [
            Choice(knobs, run_alone(origin(model, knobs), files, short)) for knobs in ORIGIN_KNOBS
        ]
        knobs = max(choices, key=lambda choice: choice.run.rate).knobs
        row = Row(model, precision, name, knobs, choices)
        for turn in range(self._chosen.pairs):
            self._say(f"{model}, {name}: pair {turn + 1} of {self._chosen.pairs}, {knobs}")
            if model != "sluice-tiny":
                row.bare.append(forward_of(settings_of(model, precision, knobs), load.seconds / 4))
                print(f"    bare forward       {row.bare[-1]['best']:8.1f} images/s", flush=True)
            row.pairs.append(
                (run_alone(origin(model, knobs), files, load), self._ours(row, files, load))
            )
        self.findings.rows.append(row)

    def _ours(self, row: Row, files: list[Path], load: Load) -> Run:
        return run_alone(sluice(row.model, row.precision, row.knobs), files, load)

    def _closer(self, tiny: Row) -> None:
        chosen, files = self._chosen, self._files["fhd"]
        load = Load(chosen.clients, chosen.seconds)
        self._say("Sluice with the knobs that it chooses itself, tiny, FHD")
        own = self.findings.own_choice = own_choice_for(tiny, files, load, chosen.pairs)
        self._say("300 clients against 30, tiny, FHD")
        self.findings.many = many_clients_for(tiny, files, load, chosen.pairs)
        self._say("one image at a time, tiny, VGA")
        self.findings.one = one_image_for(
            tiny, own.knobs, self._files["vga"][:1], chosen.seconds / 2, chosen.pairs
        )
        self._say("the stages by themselves, tiny, FHD")
        self.findings.account, self.findings.own_metrics = account_for(tiny, files, load)

    def _say(self, text: str) -> None:
        print(f"[{(time.monotonic() - self._began) / 60:4.1f} min] {text}", flush=True)


def main() -> int:
    """Run it all; exit 1 when a target was missed."""
    chosen = options()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(chosen, Path(folder))
        bench.run()
    targets = write_report(bench.findings, ROOT / "reports")
    print(table(targets))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
