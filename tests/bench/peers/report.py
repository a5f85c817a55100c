"""The report of `make bench-peers`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.machine import described
from bench.peers.programs import PEERS, Peer
from bench.plots import BASE, OURS, canvas, save
from bench.rates import Spread, ratios, spread
from bench.runs import Run
from bench.targets import Target, at_least, at_most, table, write

Key = tuple[str, int]
"""Image set and clients."""

LEAST_COSINE: Final = 0.99
"""Of a peer's vector to ours. They preprocess with other libraries, so it is near 1 and not 1; the
nearest two photographs are at 0.984."""


@dataclass(frozen=True, slots=True)
class Against:
    """One peer at one load: pairs of (peer, Sluice).

    `cosine` is the lowest of a photograph's vector to ours, `nearest_other` the highest
    between different photographs: a mixed-up answer would have that at most.
    """

    peer: Peer
    key: Key
    pairs: list[tuple[Run, Run]]
    cosine: float | None
    nearest_other: float | None

    @property
    def name(self) -> str:
        """Who, on what, with how many clients."""
        return f"{self.peer.name}, {self.key[0].upper()}, {self.key[1]} clients"

    @property
    def rates(self) -> tuple[Spread, Spread]:
        """Images/s of the peer and of Sluice."""
        theirs = spread([theirs.rate for theirs, _ in self.pairs])
        return theirs, spread([ours.rate for _, ours in self.pairs])

    @property
    def ratio(self) -> Spread:
        """Images/s of Sluice for each of the peer's, by pair."""
        theirs, ours = zip(*((one.rate, other.rate) for one, other in self.pairs), strict=True)
        return ratios(ours, theirs)

    @property
    def p95_ratio(self) -> Spread:
        """p95 of Sluice as a share of the peer's, by pair."""
        return ratios([ours.p95 for _, ours in self.pairs], [one.p95 for one, _ in self.pairs])


@dataclass(slots=True)
class PeerFindings:
    """Everything; `missing` says why a peer was not measured."""

    pairs: int
    seconds: float
    images: tuple[int, int]
    sets: dict[str, str]
    rows: list[Against] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    minutes: float = 0.0


def targets_of(findings: PeerFindings) -> list[Target]:
    """Return the targets; a peer that is missing meets none."""
    found = []
    for name, reason in findings.missing.items():
        found.append(at_least(f"images/s against {name}", "x", 2, None, f"NOT MEASURED: {reason}"))
        found.append(at_most(f"p95 against {name}", "of it", 0.5, None, "NOT MEASURED"))
    for row in findings.rows:
        ratio, p95 = row.ratio, row.p95_ratio
        what = f"images/s against {row.name}"
        found.append(at_least(what, "x", 2, ratio.median, ratio.range()))
        found.append(at_most(f"p95 against {row.name}", "of it", 0.5, p95.median, p95.range()))
    for peer in PEERS:
        rows = [row for row in findings.rows if row.peer is peer]
        if rows:
            found.append(_computes_the_same(peer, rows))
    failed = sum(ours.failed for row in findings.rows for _, ours in row.pairs)
    found.append(at_most("failed requests of Sluice", "requests", 0, failed))
    return found


def _computes_the_same(peer: Peer, rows: list[Against]) -> Target:
    known = [row.cosine for row in rows if row.cosine is not None]
    lowest = min(known) if len(known) == len(rows) else None
    others = max((one for row in rows if (one := row.nearest_other) is not None), default=None)
    note = "" if others is None else f"different photographs: {others:.4f} at most"
    what = f"cosine of {peer.name}'s vectors to ours: it computes the same"
    return at_least(what, "cosine", LEAST_COSINE, lowest, note)


def markdown(findings: PeerFindings, targets: list[Target]) -> str:
    """Return the whole report."""
    least, most = findings.images
    lines = ["# Sluice against its peers, tiny model, fp32", ""]
    lines += described(("torch", "open-clip-torch", "fastapi"))
    lines += [
        f"- a closed loop of {least} to {most} images a request (fixed seed); {findings.pairs} "
        f"turns, windows of {findings.seconds:g} s, warm-up excluded; {findings.minutes:.0f} "
        "minutes in all",
        *(f"- {name}: {text}" for name, text in findings.sets.items()),
        "- Sluice: the knobs that it takes itself, EMBEDDING_PRECISION=fp32; requests: POST "
        "/embed, multipart",
        *(f"- {peer.name}: {peer.settings} ({peer.versions})" for peer in PEERS),
        *(f"- **{name} was not measured: {reason}**" for name, reason in findings.missing.items()),
        "",
        "## Targets",
        "",
        table(targets),
        "",
        "## Figures",
        "",
        "Medians with the lowest and highest; p95 of a request in seconds.",
        "",
        "| against | peer, images/s | Sluice, images/s | ratio | peer, p95 | Sluice, p95 | cosine "
        "| failed: peer, Sluice |",
        "|---|---|---|---|---|---|---|---|",
        *map(_line, findings.rows),
        "",
        "![images/s](peers.png)",
    ]
    return "\n".join(lines) + "\n"


def _line(row: Against) -> str:
    theirs, ours = row.rates
    p95 = [spread([pair[place].p95 for pair in row.pairs]) for place in (0, 1)]
    failed = [sum(pair[place].failed for pair in row.pairs) for place in (0, 1)]
    cosine = "none" if row.cosine is None else f"{row.cosine:.5f}"
    return (
        f"| {row.name} | {theirs} | {ours} | {row.ratio} | {p95[0]} | {p95[1]} | {cosine} | "
        f"{failed[0]}, {failed[1]} |"
    )


def write_report(findings: PeerFindings, folder: Path) -> list[Target]:
    """Write peers.md, peers.json and peers.png; return the targets."""
    folder.mkdir(exist_ok=True)
    targets = targets_of(findings)
    write(targets, folder / "peers.json")
    (folder / "peers.md").write_text(markdown(findings, targets))
    _draw(findings, folder / "peers.png")
    return targets


def _draw(findings: PeerFindings, file: Path) -> None:
    figure, axes = canvas(7, 0.7 + 0.6 * max(1, len(findings.rows)))
    for place, row in enumerate(findings.rows):
        theirs, ours = row.rates
        axes.barh(place - 0.2, theirs.median, 0.38, color=BASE)
        axes.barh(place + 0.2, ours.median, 0.38, color=OURS)
        axes.annotate(f" {row.ratio.median:.2f} x", (ours.median, place + 0.2), va="center")
    axes.set_yticks(range(len(findings.rows)), [row.name for row in findings.rows])
    axes.invert_yaxis()
    axes.set_xlabel("images/s: peer (grey), Sluice (blue)")
    save(figure, file)
