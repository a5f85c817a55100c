"""Measure the server against the origin's design: same machine, same images, same clients.

Both run as processes on loopback, one after the other, in turns (A B A B), so that a drifting
machine hurts both alike. The ratio counts, not the seconds. Writes reports/bench.json.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np
import skimage

ROOT = Path(__file__).parents[2]
SIZES = {"vga": (640, 480), "fhd": (1920, 1080), "12mp": (4032, 3024)}
TARGET_RATIO = 2.5
"""From the design: tiny model, FHD, CPU. See docs/benchmarks for figures of named machines."""


@dataclass(frozen=True)
class Load:
    """A closed loop: `clients` that each send `images` photographs a request for `seconds`."""

    clients: int
    images: int
    seconds: float


@dataclass(frozen=True)
class Figures:
    """What one run came to."""

    images_per_second: float
    p50_seconds: float
    failed: int


def photograph(size: str) -> bytes:
    """A real photograph, scaled to the size and encoded as JPEG of quality 90."""
    name = "astronaut.png" if size == "vga" else "coffee.png"
    pixels = cv2.imread(str(Path(skimage.__file__).parent / "data" / name))
    if pixels is None:
        raise RuntimeError(f"scikit-image ships no {name}")
    scaled = cv2.resize(pixels, SIZES[size], interpolation=cv2.INTER_LANCZOS4)
    noise = np.random.default_rng(0).normal(0, 4, scaled.shape)
    grainy = np.clip(scaled + noise, 0, 255).astype(np.uint8)
    done, encoded = cv2.imencode(".jpg", grainy, [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not done:
        raise RuntimeError("OpenCV could not encode the photograph")
    return encoded.tobytes()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def server(command: list[str], port: int, environment: dict[str, str]) -> Iterator[str]:
    """Run a server on loopback until the block ends; it is ready when the block begins."""
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                    break
            time.sleep(0.2)
        else:
            raise RuntimeError(f"{command[0]} was not ready within 300 s")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


async def measure(url: str, image: bytes, load: Load) -> Figures:
    """Warm up for a fifth of the time, then count what is answered in the window."""
    files = [("files", (f"{index}.jpg", image, "image/jpeg")) for index in range(load.images)]
    start = time.monotonic() + load.seconds / 5
    end = start + load.seconds
    durations: list[float] = []
    failed = 0

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal failed
        while time.monotonic() < end:
            began = time.monotonic()
            answer = await http.post(f"{url}/embed", files=files)
            done = time.monotonic()
            if answer.status_code != 200 or answer.json()["errors"]:
                failed += 1
            elif start <= done <= end:
                durations.append(done - began)

    limits = httpx.Limits(max_connections=load.clients)
    async with httpx.AsyncClient(timeout=120, limits=limits) as http:
        await asyncio.gather(*(client(http) for _ in range(load.clients)))
    if not durations:
        raise RuntimeError(f"no request was answered in {load.seconds} s: make the window longer")
    rate = len(durations) * load.images / load.seconds
    return Figures(rate, statistics.median(durations), failed)


def run_pair(
    image: bytes, load: Load, model: str, knobs: tuple[int, int]
) -> tuple[Figures, Figures]:
    """One run of the origin's design, then one of Sluice."""
    streams, permits = (str(knob) for knob in knobs)
    port = free_port()
    origin = [
        sys.executable, str(Path(__file__).with_name("origin_server.py")), "--port", str(port),
        "--model", model, "--num-streams", streams, "--semaphore-size", permits,
    ]  # fmt: skip
    with server(origin, port, {}) as url:
        baseline = asyncio.run(measure(url, image, load))
    port = free_port()
    environment = {
        "EMBEDDING_MODEL": model, "EMBEDDING_PRETRAINED": "random:0",
        "EMBEDDING_HOST": "127.0.0.1", "EMBEDDING_PORT": str(port),
        "EMBEDDING_NUM_STREAMS": streams, "EMBEDDING_SEMAPHORE_SIZE": permits,
        "EMBEDDING_QUEUE_TIMEOUT_SECONDS": "100",
    }  # fmt: skip
    ours = [sys.executable, "-m", "embedding_service"]
    with server(ours, port, environment) as url:
        return baseline, asyncio.run(measure(url, image, load))


def report(what: str, pairs: list[tuple[Figures, Figures]]) -> list[dict[str, object]]:
    """The targets of the run as a table and as reports/bench.json."""
    ratios = [ours.images_per_second / origin.images_per_second for origin, ours in pairs]
    ratio = statistics.median(ratios)
    failed = sum(origin.failed + ours.failed for origin, ours in pairs)
    for name, figures in zip(("origin", "sluice"), zip(*pairs, strict=True), strict=True):
        rate = statistics.median(figure.images_per_second for figure in figures)
        p50 = statistics.median(figure.p50_seconds for figure in figures)
        print(f"  {name:8} {rate:8.1f} images/s   p50 {p50:6.2f} s")
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"  ratio    {ratio:8.2f} ({spread} over {len(ratios)} pairs), failed requests: {failed}")
    return [
        {
            "what": f"images/s against the origin's design, {what}",
            "unit": "ratio", "target": TARGET_RATIO, "value": round(ratio, 2),
            "met": ratio >= TARGET_RATIO,
        },
        {
            "what": f"failed requests, {what}", "unit": "requests", "target": 0,
            "value": failed, "met": failed == 0,
        },
    ]  # fmt: skip


def main() -> None:
    """Compare on one image size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="fhd")
    parser.add_argument("--model", default="sluice-tiny", help="weights are random, from seed 0")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--images", type=int, default=16, help="images a request")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--num-streams", type=int, default=1)
    parser.add_argument("--semaphore-size", type=int, default=4)
    options = parser.parse_args()
    load = Load(options.clients, options.images, options.seconds)
    image = photograph(options.size)
    print(
        f"{options.size}: {len(image) / 1000:.0f} kB a photograph, {load}, {os.cpu_count()} cores"
    )
    pairs, knobs = [], (options.num_streams, options.semaphore_size)
    for turn in range(options.pairs):
        print(f"  pair {turn + 1} of {options.pairs} ...", flush=True)
        pairs.append(run_pair(image, load, options.model, knobs))
    rows = report(f"{options.size}, {options.model}", pairs)
    (ROOT / "reports").mkdir(exist_ok=True)
    (ROOT / "reports/bench.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
