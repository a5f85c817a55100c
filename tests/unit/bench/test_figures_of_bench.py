"""Rates, the account, targets and reports: arithmetic on made-up runs."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.account import Account, account_of, account_table, verdict
from bench.client import Result
from bench.findings import Choice, Cosines, Findings, ManyClients, OneImage, OwnChoice, Row
from bench.peers.programs import PEERS
from bench.peers.report import Against, PeerFindings
from bench.peers.report import targets_of as peer_targets
from bench.peers.report import write_report as write_peers
from bench.processes import grown, samples
from bench.rates import images_per_second, ratios, seconds_at, spread
from bench.report import markdown, targets_of, write_report
from bench.runs import CORES, Knobs, Run, run_of
from bench.targets import at_least, at_most, table


@given(st.integers(1, 8), st.integers(4, 30), st.floats(0.1, 3))
def test_the_rate_of_bursts_does_not_depend_on_where_the_window_is_cut(
    together: int, bursts: int, apart: float
) -> None:
    window = bursts * apart
    for shift in (0.01, 0.5, 0.99):
        completed = [
            ((number + shift) * apart, 1.0, 40) for number in range(bursts) for _ in range(together)
        ]
        rate = images_per_second(completed, window)
        assert rate == pytest.approx(40 * together / apart, rel=0.05)


def test_few_answers_are_plainly_counted() -> None:
    assert images_per_second([(1.0, 1.0, 40), (1.5, 1.0, 40)], 8.0) == 10.0
    assert images_per_second([], 8.0) == 0.0
    assert images_per_second([(7.9, 1.0, 40)] * 5, 8.0) == 25.0


def test_percentiles_and_ratios() -> None:
    completed = [(0.0, seconds, 1) for seconds in (4.0, 1.0, 2.0, 3.0)]
    assert seconds_at(completed, 0.5) == 2.0
    assert math.isnan(seconds_at([], 0.5))
    found = ratios([2.0, 6.0, 1.0], [1.0, 2.0, 0.0])
    assert (found.median, found.lowest, found.highest) == (2.5, 2.0, 3.0)
    assert str(spread([])) == "not measured"


def test_the_account_says_what_it_cannot_explain() -> None:
    account = account_of(
        {"decode": 0.004, "forward": 0.003, "client": 0.001},
        images=100, seconds=0.5, server_cpu=0.8, client_cpu=0.1, machine_cpu=0.95, cores=2,
    )  # fmt: skip
    assert account.whole == pytest.approx(0.009)
    assert account.unexplained == pytest.approx(1 / 9)
    assert account.busy == pytest.approx(0.9)
    assert account.foreign == pytest.approx(0.05)
    assert account.ceiling == pytest.approx(250)
    assert "next bottleneck is decode" in verdict(account)
    assert "11.1%" in account_table(account)


def test_idle_cores_are_another_verdict() -> None:
    account = Account({"decode": 0.004, "client": 0.1}, 0.2, 0.1, 10.0, 2, 0.5, 0.1)
    assert verdict(account).startswith("40% of the cores were idle")
    assert account.largest == "decode"


def test_what_was_not_measured_is_never_met() -> None:
    rows = [at_least("a", "x", 2, None), at_most("b", "x", 2, math.nan), at_most("c", "x", 2, 1.0)]
    assert [row.met for row in rows] == [False, False, True]
    assert rows[1].value is None
    assert table(rows).count("not measured") == 2


def test_prometheus_text_is_read() -> None:
    found = samples('# HELP a b\na_total 3.0\na_sum{stage="x"} 1.5e-05\nb NaN\n')
    assert found["a_total"] == 3.0
    assert found['a_sum{stage="x"}'] == 1.5e-05
    assert grown({"a_total": 1.0}, found, ["a_total", "missing"]) == 2.0


def made_run(name: str, rate: float, *, failed: int = 0, seconds: float = 1.0) -> Run:
    completed = [(0.1 * number, seconds, int(rate / 10)) for number in range(100)]
    vectors = {0: [1.0, 0.0], 1: [0.0, 1.0]}
    faults = {"503": failed} if failed else {}
    result = Result(10.0, completed, failed, faults, 12.0, 0.5, 14.0, vectors, 1.0, 1000)
    return run_of(name, result)


def findings(ratio: float) -> Findings:
    base, ours = made_run("origin", 100), made_run("Sluice", 100 * ratio)
    knobs, found = Knobs(1, 4), Findings(30, 1, 12.0, {"fhd": "some"})
    for model, name in (("sluice-tiny", "fhd"), ("sluice-tiny", "12mp"), ("ViT-B-32", "vga")):
        row = Row(model, "fp32", name, knobs, [Choice(knobs, base)], [(base, ours)])
        if model == "ViT-B-32":
            rates = {"8": 380.0, "32": 400.0}
            row.bare.append({"best": 400.0, "threads": 2, "open_clip": rates, "lane": rates})
        found.rows.append(row)
        found.cosines[model, "fp32"] = Cosines(0.9999, 0.6)
    found.many = ManyClients([ours], [ours], 300)
    found.own_choice = OwnChoice(Knobs(1, 8), [ours])
    found.one = OneImage([0.010], [0.002], [0.007], 0)
    found.account = Account({"decode": 0.004, "client": 0.001}, 0.0052, 0.001, 380.0, 2, 0.95, 0.0)
    return found


def test_run_of_counts_cpu_by_the_image() -> None:
    run = made_run("Sluice", 100)
    assert run.rate == pytest.approx(100)
    assert run.server_cpu == pytest.approx(0.012)
    assert run.busy == pytest.approx(12.5 / (10 * CORES))


def test_every_target_is_met_by_a_fast_server_and_the_report_is_whole(tmp_path: Path) -> None:
    targets = write_report(findings(4.0), tmp_path)
    assert [row.what for row in targets if not row.met] == []
    rows = json.loads((tmp_path / "server.json").read_text())
    assert len(rows) == 10
    assert all({"what", "unit", "target", "value", "met"} <= set(row) for row in rows)
    text = (tmp_path / "server.md").read_text()
    assert "4.00 (4.00 to 4.00)" in text
    assert "overhead is request - decode - forward" in text
    for picture in ("throughput", "stages", "latency"):
        assert (tmp_path / f"server-{picture}.png").stat().st_size > 5000


def test_a_noisy_machine_is_said_loudly() -> None:
    found = findings(4.0)
    assert "not quiet" not in markdown(found, [])
    busy = replace(found.rows[0].pairs[0][1], foreign=0.3)
    found.rows[0].pairs.append((busy, busy))
    assert "others used up to 30%" in markdown(found, [])


def test_a_slow_server_misses_its_targets() -> None:
    missed = [row.what for row in targets_of(findings(1.1)) if not row.met]
    assert len(missed) == 4


def test_an_account_that_failed_is_a_missed_target() -> None:
    found = findings(4.0)
    found.account = None
    assert [row.value for row in targets_of(found) if not row.met] == [None]


def test_an_overhead_below_zero_is_no_result() -> None:
    found = findings(4.0)
    found.one = OneImage([0.008], [0.002], [0.007], 0)
    assert [row.value for row in targets_of(found) if not row.met] == [None]


def test_a_failed_request_is_a_missed_target() -> None:
    found = findings(4.0)
    found.own_choice = OwnChoice(Knobs(1, 8), [made_run("Sluice", 400, failed=2)])
    assert [row.value for row in targets_of(found) if not row.met] == [2]


def test_peers_that_are_missing_are_said_loudly(tmp_path: Path) -> None:
    peer, other = PEERS
    pairs = [(made_run(peer.name, 100), made_run("Sluice", 300, seconds=0.4))]
    found = PeerFindings(1, 4.0, (16, 32), {"vga": "some"})
    found.rows.append(Against(peer, ("vga", 6), pairs, 0.999, 0.5))
    found.missing[other.name] = "no wheel of it"
    rows = {row.what: row for row in write_peers(found, tmp_path)}
    assert rows[f"images/s against {peer.name}, VGA, 6 clients"].met
    assert rows[f"p95 against {peer.name}, VGA, 6 clients"].value == pytest.approx(0.4)
    gone = rows[f"images/s against {other.name}"]
    assert not gone.met
    assert gone.value is None
    assert "no wheel of it" in (tmp_path / "peers.md").read_text()


def test_a_peer_without_a_vector_is_not_taken_to_compute_the_same() -> None:
    pairs = [(made_run("peer", 100), made_run("Sluice", 300, seconds=0.4))]
    found = PeerFindings(1, 4.0, (16, 32), {"vga": "some"})
    found.rows.append(Against(PEERS[0], ("vga", 6), pairs, None, None))
    assert "it computes the same" in " ".join(
        row.what for row in peer_targets(found) if not row.met
    )
