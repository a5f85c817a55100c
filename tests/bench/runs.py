"""One measured run: a server, a client, and what came of it."""

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.client import Order, Result
from bench.processes import Program, Running, measured, python_path, running
from bench.rates import images_per_second, seconds_at
from embedding_contract.endpoints import Environment

LEAST_IMAGES: Final = 30
MOST_IMAGES: Final = 50
SEEDED: Final = "random:0"
CORES: Final = len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Knobs:
    """numStreams and semaphoreSize, as both servers have them."""

    num_streams: int
    semaphore_size: int

    def __str__(self) -> str:
        return f"{self.num_streams}/{self.semaphore_size}"


@dataclass(frozen=True, slots=True)
class Load:
    """How many clients ask for how long, with how many images a request."""

    clients: int
    seconds: float
    least: int = LEAST_IMAGES
    most: int = MOST_IMAGES
    wire: str = "multipart"
    drain_seconds: float = 0.0

    @property
    def warm_seconds(self) -> float:
        """What comes before the window: the first answers come in one burst."""
        return min(self.seconds / 3, 10.0)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to. CPU is in seconds an image; times are seconds."""

    name: str
    rate: float
    p50: float
    p95: float
    answers: int
    failed: int
    faults: Mapping[str, int]
    server_cpu: float
    client_cpu: float
    busy: float
    foreign: float
    agreement: float
    result: Result = field(repr=False)

    def __str__(self) -> str:
        return (
            f"{self.name:18} {self.rate:8.1f} images/s  p50 {self.p50:6.2f} s  p95 "
            f"{self.p95:6.2f} s  {self.answers} answers, {self.failed} failed  CPU ms an image: "
            f"server {self.server_cpu * 1000:.2f}, client {self.client_cpu * 1000:.2f}"
        )


def run_of(name: str, result: Result) -> Run:
    """Sum up a client's result."""
    rate = images_per_second(result.completed, result.window)
    images = rate * result.window
    free = CORES * result.window
    ours = result.server_cpu + result.client_cpu
    return Run(
        name=name,
        rate=rate,
        p50=seconds_at(result.completed, 0.50),
        p95=seconds_at(result.completed, 0.95),
        answers=len(result.completed),
        failed=result.failed,
        faults=result.faults,
        server_cpu=result.server_cpu / images if images else math.nan,
        client_cpu=result.client_cpu / images if images else math.nan,
        busy=ours / free,
        foreign=max(0.0, (result.machine_cpu - ours) / free),
        agreement=result.lowest_agreement,
        result=result,
    )


def loaded(name: str, server: Running, files: Sequence[Path], load: Load) -> Run:
    """Put a load on a running server and print what came of it."""
    order = Order(
        server.url, load.wire, [str(file) for file in files], load.clients, load.least, load.most,
        load.warm_seconds, load.seconds, server.pid, load.drain_seconds,
    )  # fmt: skip
    run = run_of(name, measured(order))
    print(f"    {run}", flush=True)
    for fault, count in run.faults.items():
        print(f"      {count} x {fault}", flush=True)
    return run


def run_alone(program: Program, files: Sequence[Path], load: Load) -> Run:
    """Start a server, load it, end it."""
    with running(program) as server:
        return loaded(program.name, server, files, load)


def origin(model: str, knobs: Knobs) -> Program:
    """The origin's design. It computes in fp32, as it did."""
    command = (
        sys.executable, "-m", "bench.origin_server", "--port", "{port}", "--model", model,
        "--pretrained", SEEDED, "--num-streams", str(knobs.num_streams),
        "--semaphore-size", str(knobs.semaphore_size),
    )  # fmt: skip
    return Program("origin's design", command, "/readyz", python_path())


def sluice(model: str, precision: str, knobs: Knobs | None, preprocess: str = "model") -> Program:
    """Sluice with the knobs given, or with its own choice. Everything else is as it ships, but
    for limits that a test with 300 patient clients and 12MP uploads would run into, and sharing
    and cache, which are off."""
    command = (sys.executable, "-m", "embedding_service")
    environment = settings_of(model, precision, knobs, preprocess) | python_path()
    return Program("Sluice", command, "/readyz", environment)


def settings_of(
    model: str, precision: str, knobs: Knobs | None, preprocess: str = "model"
) -> dict[str, str]:
    """Return the variables that Sluice is started with."""
    chosen = {
        Environment.MODEL: model,
        Environment.PRETRAINED: SEEDED,
        Environment.PRECISION: precision,
        Environment.PREPROCESS: preprocess,
        Environment.HOST: "127.0.0.1",
        Environment.PORT: "{port}",
        Environment.SHARE_IDENTICAL: "false",  # nothing is alike here: see wires.py
        Environment.CACHE_BYTES: "0",
        Environment.QUEUE_SIZE: "1024",
        Environment.QUEUE_TIMEOUT_SECONDS: "600",
        Environment.MAX_REQUEST_BYTES: str(512 * 1024 * 1024),
    }
    chosen[Environment.NUM_STREAMS] = "auto" if knobs is None else str(knobs.num_streams)
    chosen[Environment.SEMAPHORE_SIZE] = "auto" if knobs is None else str(knobs.semaphore_size)
    return chosen
