"""The report of `make bench-server`: Markdown, targets and pictures out of the findings."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.account import account_table, verdict
from bench.findings import Findings, OwnChoice, Row
from bench.machine import described
from bench.plots import latencies, stage_shares, throughput
from bench.rates import spread
from bench.runs import LEAST_IMAGES, MOST_IMAGES, settings_of
from bench.targets import Target, at_least, at_most, table, write

AIMS = {
    ("sluice-tiny", "fhd"): 2.5,
    ("sluice-tiny", "12mp"): 3.0,
    ("ViT-B-32", "vga"): 3.5,
}
"""Images/s against the origin's design. VGA with the tiny model is measured without an aim."""

QUIET = 0.10
"""Others may use this share of the cores; the kernel's own work for loopback counts as others."""


def targets_of(findings: Findings) -> list[Target]:
    """Return the targets of everything that was measured."""
    rows = []
    for row in findings.rows:
        rows += _targets_of_row(row)
    for (model, precision), cosines in findings.cosines.items():
        rows.append(
            at_least(
                f"cosine to the origin's design, {model} {precision}, same preprocessing",
                "cosine", 0.999, cosines.lowest,
                f"different photographs: {cosines.nearest_other:.4f} at most",
            )
        )  # fmt: skip
    return rows + _targets_of_closer_looks(findings)


def _targets_of_row(row: Row) -> list[Target]:
    found = []
    if (aim := AIMS.get((row.model, row.image_set))) is not None:
        what = f"images/s against the origin's design, {_name(row)}"
        ratio = row.ratio
        found.append(at_least(what, "x", aim, ratio.median, ratio.range()))
    if (share := row.of_bare) is not None:
        what = f"share of the bare forward, {_name(row)}"
        found.append(at_least(what, "of it", 0.97, share.median, share.range(digits=3)))
    return found


def _targets_of_closer_looks(findings: Findings) -> list[Target]:
    found = []
    if (one := findings.one) is not None:
        over, aim = one.overhead, "overhead of one image over decode and forward"
        # Less than nothing is the noise of a busy machine, and no result.
        value = over.median * 1000 if over.median > 0 else None
        found.append(at_most(aim, "ms", 1.5, value, over.range(1000)))
    if (many := findings.many) is not None:
        ratio = many.ratio
        what = f"images/s with {many.clients} clients against {findings.clients}"
        found.append(at_least(what, "of it", 0.95, ratio.median, ratio.range(digits=3)))
    if findings.row("sluice-tiny", "fhd") is not None:
        what = "CPU time of the whole run that the stages do not explain, tiny, FHD"
        account = findings.account
        value = None if account is None else abs(account.unexplained)
        found.append(at_most(what, "of it", 0.10, value))
    found.append(at_most("failed requests of Sluice, all runs", "requests", 0, findings.failed))
    return found


def _name(row: Row) -> str:
    return f"{row.model} {row.precision}, {row.image_set.upper()}"


def markdown(findings: Findings, targets: list[Target]) -> str:
    """Return the whole report."""
    head = ["# Sluice against the origin's design", ""]
    head += described(("torch", "open-clip-torch", "fastapi", "opencv-python-headless"))
    head += [
        f"- {findings.clients} clients in a closed loop, {LEAST_IMAGES} to {MOST_IMAGES} images a "
        f"request (fixed seed), multipart uploads; no two images sent are the same bytes",
        f"- {findings.pairs} pairs in turns (A B A B), windows of {findings.seconds:g} s and more, "
        f"warm-up excluded; the whole took {findings.minutes:.0f} minutes",
        *(f"- {name}: {text}" for name, text in findings.sets.items()),
    ]
    if findings.foreign > QUIET:
        head.append(
            "- **The machine was not quiet: others used up to "
            f"{findings.foreign:.0%} of its cores. Take no figure from this run.**"
        )
    parts = [
        "\n".join(head),
        "## Targets\n\n" + table(targets),
        "## Throughput\n\n" + _throughput(findings),
        _settings(findings),
    ]
    parts += [part for part in (_many(findings), _one(findings), _account(findings)) if part]
    return "\n\n".join(parts) + "\n"


def _throughput(findings: Findings) -> str:
    lines = [
        "Medians, with the lowest and highest. Times are p50 / p95 of a request in seconds. CPU is "
        "milliseconds of the server and of the client an image.",
        "",
        "| model, images | who | images/s | ratio | p50 / p95 | CPU server, client | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in findings.rows:
        for place, who in enumerate(("origin's design, fp32", f"Sluice, {row.precision}")):
            runs = [pair[place] for pair in row.pairs]
            middle = sorted(runs, key=lambda run: run.rate)[len(runs) // 2]
            rate = row.sluice_rate if place else row.origin_rate
            lines.append(
                f"| {row.model}, {row.image_set.upper()} | {who}, {row.knobs} | {rate} | "
                f"{row.ratio if place else ''} | {middle.p50:.2f} / {middle.p95:.2f} | "
                f"{middle.server_cpu * 1000:.2f}, {middle.client_cpu * 1000:.2f} | "
                f"{sum(run.failed for run in runs)} |"
            )
        if row.bare:
            lines.append(_bare_line(row))
    return "\n".join([*lines, "", "![images/s](server-throughput.png)"])


def _bare_line(row: Row) -> str:
    best = max(row.bare, key=lambda one: float(one["best"]))
    by_batch = "; ".join(
        f"{kind}: " + ", ".join(f"{size} {rate:.1f}" for size, rate in best[kind].items())
        for kind in ("open_clip", "lane")
    )
    return (
        f"| {row.model} | bare forward, {row.precision}, {best['threads']} threads | "
        f"{best['best']:.1f} | {row.of_bare} of it | by batch: {by_batch} | | |"
    )


def _settings(findings: Findings) -> str:
    lines = [
        "## Settings",
        "",
        "`numStreams/semaphoreSize`. The origin's design was tried with both of its settings; the "
        "better one is the baseline, and Sluice has the same knobs.",
        "",
        "| model, images | origin's design tried with | chosen |",
        "|---|---|---|",
    ]
    for row in findings.rows:
        tried = ", ".join(f"{one.knobs}: {one.run.rate:.1f} images/s" for one in row.choices)
        lines.append(f"| {row.model}, {row.image_set.upper()} | {tried} | {row.knobs} |")
    if (own := findings.own_choice) is not None:
        rates = ", ".join(f"{run.rate:.1f}" for run in own.runs)
        said = f"images/s in {len(own.runs)} runs: {rates}" if own.runs else "the same as above"
        lines += ["", f"Sluice without knobs takes {own.knobs}, tiny, FHD: {said}."]
        if own.runs:
            lines[-1] += f" That is {_own_ratio(findings, own)} x the origin's median."
    if findings.rows:
        row = findings.rows[0]
        settings = settings_of(row.model, row.precision, row.knobs)
        lines += [
            "",
            "Sluice's variables: "
            + ", ".join(f"{name}={value}" for name, value in settings.items() if value != "{port}"),
        ]
    return "\n".join(lines)


def _own_ratio(findings: Findings, own: OwnChoice) -> str:
    tiny = findings.row("sluice-tiny", "fhd")
    base = tiny.origin_rate.median if tiny is not None else math.nan
    return str(spread([run.rate / base for run in own.runs]))


def _many(findings: Findings) -> str:
    if (many := findings.many) is None:
        return ""
    lines = [f"## {many.clients} clients", "", "| clients | images/s | p50, s | p95, s | failed |"]
    lines.append("|---|---|---|---|---|")
    for few, crowd in zip(many.few, many.many, strict=True):
        for clients, run in ((findings.clients, few), (many.clients, crowd)):
            lines.append(
                f"| {clients} | {run.rate:.1f} | {run.p50:.2f} | {run.p95:.2f} | {run.failed} |"
            )
    return "\n".join(lines)


def _one(findings: Findings) -> str:
    if (one := findings.one) is None:
        return ""
    lines = [
        "## One image",
        "",
        "One client, one VGA image a request (multipart, keep-alive), the knobs that Sluice takes "
        "itself. Medians in milliseconds; overhead is request - decode - forward.",
        "",
        "| request | decode alone | forward alone | overhead |",
        "|---|---|---|---|",
    ]
    for parts in zip(one.request, one.decode, one.forward, strict=True):
        request, decode, forward = (part * 1000 for part in parts)
        lines.append(
            f"| {request:.2f} | {decode:.2f} | {forward:.2f} | {request - decode - forward:.2f} |"
        )
    return "\n".join(lines)


def _account(findings: Findings) -> str:
    if (account := findings.account) is None:
        return ""
    lines = [
        "## Where the time goes: tiny model, FHD",
        "",
        "CPU seconds an image. Every stage was measured alone; the whole is what the processes of "
        "server and client used in a run.",
        "",
        account_table(account),
        "",
        f"Cores: {account.busy:.0%} server and client, {account.foreign:.0%} others. The run did "
        f"{account.images_per_second:.1f} images/s; {account.cores} cores and nothing but the "
        f"stages' sum would do {account.ceiling:.1f}.",
        "",
        f"**{verdict(account)}**",
        "",
        "![stages](server-stages.png)",
        "",
        "What the server's own metrics say of the same run, milliseconds an image:",
        "",
        "| metric | value |",
        "|---|---|",
        *(f"| {name} | {value:.3f} |" for name, value in findings.own_metrics.items()),
        "",
        "![latency](server-latency.png)",
    ]
    return "\n".join(lines)


def write_report(findings: Findings, folder: Path) -> list[Target]:
    """Write server.md, server.json, server-runs.json and the pictures; return the targets."""
    folder.mkdir(exist_ok=True)
    targets = targets_of(findings)
    write(targets, folder / "server.json")
    (folder / "server.md").write_text(markdown(findings, targets))
    (folder / "server-runs.json").write_text(json.dumps(_raw(findings), indent=1) + "\n")
    throughput(findings, folder / "server-throughput.png")
    if findings.account is not None:
        stage_shares(findings.account, folder / "server-stages.png")
    tiny = findings.row("sluice-tiny", "fhd")
    if tiny is not None:
        latencies(tiny, folder / "server-latency.png")
    return targets


def _raw(findings: Findings) -> list[dict[str, Any]]:
    """Every run with the time of each answer, without the vectors."""
    runs = []
    for row in findings.rows:
        for turn, pair in enumerate(row.pairs):
            for run in pair:
                document = asdict(run)
                document["result"].pop("vectors")
                runs.append({"model": row.model, "set": row.image_set, "turn": turn, **document})
    return runs
