"""Pictures of the figures, drawn without a screen."""

from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.account import Account
from bench.findings import Findings, Row

BASE: Final = "#9aa5b1"
OURS: Final = "#1f6f8b"
_DOTS: Final = 120


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: Figure, file: Path) -> None:
    """Write a PNG."""
    figure.savefig(file, dpi=_DOTS)


def throughput(findings: Findings, file: Path) -> None:
    """Bars of images/s for each row, logarithmic, with the ratio above them."""
    figure, axes = canvas(7, 4)
    for place, row in enumerate(findings.rows):
        base, ours = row.origin_rate, row.sluice_rate
        for shift, rate, colour in ((-0.2, base, BASE), (0.2, ours, OURS)):
            reach = [[rate.median - rate.lowest], [rate.highest - rate.median]]
            axes.bar(place + shift, rate.median, 0.38, color=colour, yerr=reach, capsize=3)
        axes.annotate(
            f"{row.ratio.median:.2f} x", (place, max(base.highest, ours.highest) * 1.08),
            ha="center", weight="bold",
        )  # fmt: skip
    names = [f"{row.model}\n{row.image_set.upper()}, {row.precision}" for row in findings.rows]
    axes.set_xticks(range(len(names)), names)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_ylabel("images/s (logarithmic)")
    axes.set_title("Origin's design, fp32 (grey) and Sluice (blue)")
    save(figure, file)


def stage_shares(account: Account, file: Path) -> None:
    """One bar an image: the stages measured alone, and what they leave unexplained."""
    figure, axes = canvas(7, 2.4)
    left = 0.0
    parts = dict(account.stages) | {"unexplained": account.whole - account.explained}
    for name, cost in parts.items():
        if cost > 0:
            axes.barh(0, cost * 1000, left=left, label=f"{name} {cost / account.whole:.0%}")
            left += cost * 1000
    axes.set_yticks([])
    axes.set_xlabel("CPU ms an image, tiny model, FHD")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.35), frameon=False, fontsize=8)
    save(figure, file)


def latencies(row: Row, file: Path) -> None:
    """The share of requests answered within a time, for both servers."""
    figure, axes = canvas(6, 3.5)
    for place, (name, colour) in enumerate((("origin's design", BASE), ("Sluice", OURS))):
        times = sorted(
            seconds for pair in row.pairs for _, seconds, _ in pair[place].result.completed
        )
        shares = [(number + 1) / len(times) for number in range(len(times))]
        axes.step(times, shares, where="post", color=colour, label=name)
    axes.set_xlabel(f"seconds from request to answer, {row.model}, {row.image_set.upper()}")
    axes.set_ylabel("share of the requests")
    axes.set_xlim(left=0)
    axes.legend(frameon=False)
    save(figure, file)
