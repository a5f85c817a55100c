"""The closer looks of `make bench-server`: cosines, many clients, one image, the account."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Final

from bench.account import Account, account_of
from bench.client import cosine
from bench.findings import Cosines, ManyClients, OneImage, OwnChoice, Row
from bench.processes import grown, running, samples
from bench.runs import CORES, Knobs, Load, Run, loaded, origin, run_alone, settings_of, sluice
from bench.tasks import one_image_of, stages_of
from embedding_contract import metrics
from embedding_contract.endpoints import METRICS_PATH

MANY_CLIENTS: Final = 300
CHECK_SECONDS: Final = 3.0


def cosines_for(model: str, precision: str, knobs: Knobs, files: Sequence[Path]) -> Cosines:
    """Let both servers embed the same photographs by the origin's preprocessing, and compare."""
    load = Load(1, CHECK_SECONDS, least=len(files), most=len(files))
    theirs = run_alone(origin(model, knobs), files, load).result.vectors
    ours = run_alone(sluice(model, precision, knobs, "origin"), files, load).result.vectors
    if set(ours) != set(theirs) or len(ours) != len(files):
        raise RuntimeError("a server did not give a vector for each photograph of the check")
    return Cosines(
        min(cosine(ours[one], theirs[one]) for one in ours),
        max(cosine(ours[one], theirs[other]) for one, other in combinations(sorted(ours), 2)),
    )


def own_choice_for(row: Row, files: Sequence[Path], load: Load, turns: int) -> OwnChoice:
    """Start Sluice without knobs, see what it takes, and measure it where that differs."""
    with running(sluice(row.model, row.precision, None)) as server:
        found = samples(server.get(METRICS_PATH))
        knobs = Knobs(int(found[metrics.NUM_STREAMS.name]), int(found[metrics.SEMAPHORE_SIZE.name]))
        if knobs == row.knobs:
            return OwnChoice(knobs, [])
        runs = [loaded(f"Sluice {knobs}", server, files, load) for _ in range(turns)]
        return OwnChoice(knobs, runs)


def many_clients_for(row: Row, files: Sequence[Path], load: Load, turns: int) -> ManyClients:
    """Few and many clients in turn, on one process of Sluice."""
    few: list[Run] = []
    many: list[Run] = []
    with running(sluice(row.model, row.precision, row.knobs)) as server:
        for _ in range(turns):
            few.append(loaded(f"{load.clients} clients", server, files, load))
            crowd = Load(MANY_CLIENTS, load.seconds)
            many.append(loaded(f"{MANY_CLIENTS} clients", server, files, crowd))
    return ManyClients(few, many, MANY_CLIENTS)


def one_image_for(
    row: Row, knobs: Knobs, file: Sequence[Path], seconds: float, turns: int
) -> OneImage:
    """One client that sends one image after the other, and its decode and forward alone."""
    settings = settings_of(row.model, row.precision, knobs)
    request: list[float] = []
    alone: list[dict[str, float]] = []
    failed = 0
    with running(sluice(row.model, row.precision, knobs)) as server:
        for _ in range(turns):
            alone.append(one_image_of(settings, file[0], seconds))
            run = loaded("one image", server, file, Load(1, seconds, least=1, most=1))
            request.append(run.p50)
            failed += run.failed
            print(
                f"      request {run.p50 * 1000:.2f} ms, decode {alone[-1]['decode'] * 1000:.2f}, "
                f"forward {alone[-1]['forward'] * 1000:.2f}",
                flush=True,
            )
    return OneImage(
        request, [one["decode"] for one in alone], [one["forward"] for one in alone], failed
    )


def account_for(
    row: Row, files: Sequence[Path], load: Load
) -> tuple[Account | None, dict[str, float]]:
    """Measure a run of its own with the server's metrics, then every stage alone.

    The account is None where no request was answered in the window: the machine is too busy.
    """
    with running(sluice(row.model, row.precision, row.knobs)) as server:
        before = samples(server.get(METRICS_PATH))
        longer = Load(load.clients, 2 * load.seconds)  # it is one run, not the median of some
        whole = loaded("the whole run", server, files, longer)
        after = samples(server.get(METRICS_PATH))
        refused = Load(load.clients, load.seconds / 2, wire="spoiled")
        empty = loaded("no image is one", server, files, refused)
    if not whole.answers or not empty.answers:
        return None, {}
    images = grown(before, after, [f'{metrics.IMAGES.name}{{outcome="ok"}}'])
    batches = grown(before, after, [metrics.BATCHES.name])
    settings = settings_of(row.model, row.precision, row.knobs)
    alone = stages_of(settings, files, load.seconds, images / max(batches, 1))
    stages = {"receive and parse": empty.server_cpu, **alone, "client": empty.client_cpu}
    result = whole.result
    account = account_of(
        stages,
        images=whole.rate * result.window,
        seconds=result.window,
        server_cpu=result.server_cpu,
        client_cpu=result.client_cpu,
        machine_cpu=result.machine_cpu,
        cores=CORES,
    )
    return account, own_metrics(before, after, images, batches)


def own_metrics(
    before: dict[str, float], after: dict[str, float], images: float, batches: float
) -> dict[str, float]:
    """Return what the server's metrics say of the run: milliseconds an image, and the batch."""
    found = {"images in a batch": images / max(batches, 1)}
    for stage in metrics.STAGES:
        name = f'{metrics.STAGE_DURATION.name}_sum{{stage="{stage}"}}'
        found[f"{stage}, service time"] = 1000 * grown(before, after, [name]) / images
    for metric, text in (
        (metrics.DECODE_BUSY, "decode threads busy"),
        (metrics.STREAM_BUSY, "lanes busy"),
        (metrics.LOOP_BUSY, "event loop busy"),
        (metrics.GIL_BUSY, "sections with the interpreter lock"),
        (metrics.CPU_BUSY, "CPU of the process"),
    ):
        found[text] = 1000 * grown(before, after, [metric.name]) / images
    return found
