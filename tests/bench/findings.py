"""What a run of `make bench-server` found; the report and the targets are made from it."""

from dataclasses import dataclass, field
from typing import Any

from bench.account import Account
from bench.rates import Spread, ratios, spread
from bench.runs import Knobs, Run


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting of the origin's design, tried once."""

    knobs: Knobs
    run: Run


@dataclass(slots=True)
class Row:
    """One model on one image set: pairs of (origin's design, Sluice)."""

    model: str
    precision: str
    image_set: str
    knobs: Knobs
    choices: list[Choice]
    pairs: list[tuple[Run, Run]] = field(default_factory=list)
    bare: list[dict[str, Any]] = field(default_factory=list)

    @property
    def origin_rate(self) -> Spread:
        """Images/s of the origin's design."""
        return spread([theirs.rate for theirs, _ in self.pairs])

    @property
    def sluice_rate(self) -> Spread:
        """Images/s of Sluice."""
        return spread([ours.rate for _, ours in self.pairs])

    @property
    def ratio(self) -> Spread:
        """Images/s of Sluice for each of the origin's, by pair."""
        return ratios([ours.rate for _, ours in self.pairs], [run.rate for run, _ in self.pairs])

    @property
    def of_bare(self) -> Spread | None:
        """Images/s of Sluice as a share of the bare forward's, by pair."""
        if not self.bare:
            return None
        return ratios([ours.rate for _, ours in self.pairs], [one["best"] for one in self.bare])

    @property
    def runs(self) -> list[Run]:
        """All runs that count."""
        return [run for pair in self.pairs for run in pair]


@dataclass(frozen=True, slots=True)
class Cosines:
    """Of vectors that both servers made of the same photographs by the same preprocessing.

    `lowest` is over equal photographs; `nearest_other` is the highest cosine between different
    ones: a mixed-up answer would have that at most.
    """

    lowest: float
    nearest_other: float


@dataclass(frozen=True, slots=True)
class OwnChoice:
    """Sluice with the knobs that it chose; `runs` is empty where they are the pair's own."""

    knobs: Knobs
    runs: list[Run]


@dataclass(frozen=True, slots=True)
class ManyClients:
    """Turns of few and of many clients on one process."""

    few: list[Run]
    many: list[Run]
    clients: int

    @property
    def ratio(self) -> Spread:
        """Images/s with many clients for each with few, by turn."""
        return ratios([run.rate for run in self.many], [run.rate for run in self.few])


@dataclass(frozen=True, slots=True)
class OneImage:
    """Medians in seconds, one entry a turn: request, and decode and forward of it alone."""

    request: list[float]
    decode: list[float]
    forward: list[float]
    failed: int

    @property
    def overhead(self) -> Spread:
        """request - decode - forward, by turn."""
        parts = zip(self.request, self.decode, self.forward, strict=True)
        return spread([request - decode - forward for request, decode, forward in parts])


@dataclass(slots=True)
class Findings:
    """Everything; None is what was not asked for."""

    clients: int
    pairs: int
    seconds: float
    sets: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    cosines: dict[tuple[str, str], Cosines] = field(default_factory=dict)
    own_choice: OwnChoice | None = None
    many: ManyClients | None = None
    one: OneImage | None = None
    account: Account | None = None
    own_metrics: dict[str, float] = field(default_factory=dict)
    minutes: float = 0.0

    def row(self, model: str, image_set: str) -> Row | None:
        """Return a row, or None."""
        wanted = (model, image_set)
        return next((row for row in self.rows if (row.model, row.image_set) == wanted), None)

    @property
    def foreign(self) -> float:
        """The largest share of the machine that others used in a run of a pair."""
        return max((run.foreign for row in self.rows for run in row.runs), default=0.0)

    @property
    def failed(self) -> int:
        """Failed requests of Sluice in all runs."""
        runs = [ours for row in self.rows for _, ours in row.pairs]
        if self.own_choice is not None:
            runs += self.own_choice.runs
        if self.many is not None:
            runs += self.many.few + self.many.many
        return sum(run.failed for run in runs) + (self.one.failed if self.one else 0)
