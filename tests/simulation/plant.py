"""A simulated server: discrete events, a closed loop of users, and costs that are all stated.

    users think -> permit (bounded queue, else refused) -> fetch -> interpreter lock (parse)
    -> decode threads (CPU shared by all that runs) -> batcher (what is ready, up to max_batch)
    -> lanes (launch under the lock, copy one at a time, kernel) -> lock (answer) -> users

Effects that the tuner's laws do not know: context switches when more threads run than there are
cores, launches that cost more with more lanes, a lock that is held longer the more threads want
it, images of unequal cost. Only the shape of the stages is the same.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Plant:
    """Costs in seconds, for one image unless the name says otherwise."""

    cores: float = 8.0
    users: int = 60
    think: float = 0.01
    images: int = 24
    chunk: int = 8
    fetch_request: float = 0.0
    decode: float = 0.004
    parse: float = 0.00005
    request_host: float = 0.0005
    answer: float = 0.00001
    launch_batch: float = 0.001
    launch_growth: float = 0.03
    lock_growth: float = 0.003
    copy: float = 0.000002
    kernel_batch: float = 0.0003
    kernel: float = 0.00004
    kernel_share: float = 0.8
    lanes_on_cpu: bool = False
    context_switch: float = 0.05
    unequal: float = 0.3
    max_batch: int = 32
    queue: int = 64
    lane_bytes: float = 4e8
    memory_bytes: float = 16e9
    base_bytes: float = 2e9

    def scaled(self, users: float) -> "Plant":
        """The same server under another load."""
        return replace(self, users=max(1, round(self.users * users)))


@dataclass
class Steady:
    """Means over the measured time, a second and pod."""

    images: float
    requests: float
    rejected: float
    times: list[float]
    inflight: float
    waiting: float
    busy: dict[str, float]
    batches: float


@dataclass
class _Request:
    born: float
    left: int
    chunks: int = 0


@dataclass
class _Chunk:
    request: _Request
    images: int


class _Shared:
    """Jobs that share one resource evenly; `speed` says how fast each runs now."""

    def __init__(self, speed: Callable[[], float]) -> None:
        self.speed = speed
        self.virtual = 0.0
        self.jobs: list[tuple[float, int, Callable[[], None]]] = []

    def add(self, work: float, serial: int, done: Callable[[], None]) -> None:
        heapq.heappush(self.jobs, (self.virtual + work, serial, done))

    def next(self, now: float) -> float:
        if not self.jobs:
            return math.inf
        return now + (self.jobs[0][0] - self.virtual) / self.speed()


@dataclass
class _Run:
    """One simulation of one setting."""

    plant: Plant
    streams: int
    permits: int
    workers: int
    random: random.Random
    now: float = 0.0
    serial: int = 0
    calendar: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    inflight: int = 0
    kernels: int = 0
    decoding: int = 0
    lanes_taken: int = 0
    lock_held: bool = False
    copying: bool = False
    outside: deque[_Request] = field(default_factory=deque)
    lock: deque[tuple[float, bool, Callable[[], None]]] = field(default_factory=deque)
    undecoded: deque[_Chunk] = field(default_factory=deque)
    ready: deque[_Chunk] = field(default_factory=deque)
    copies: deque[tuple[float, Callable[[], None]]] = field(default_factory=deque)
    area: dict[str, float] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    images: int = 0
    refused: int = 0
    batches: int = 0

    def __post_init__(self) -> None:
        self.cpu = _Shared(self._cpu_speed)
        self.gpu = _Shared(self._gpu_speed)

    def _cpu_speed(self) -> float:
        running, cores = len(self.cpu.jobs), self.plant.cores
        if running <= cores:
            return 1.0
        return cores / running / (1 + self.plant.context_switch * (running - cores) / cores)

    def _gpu_speed(self) -> float:
        return min(1.0, 1 / max(self.kernels * self.plant.kernel_share, 1e-9))

    # The machine's clock

    def simulate(self, requests: int) -> Steady:
        for _ in range(self.plant.users):
            self._later(self.plant.think * self.random.random(), self._arrive)
        self._until(requests // 3)
        self.area, self.times, self.images, self.refused, self.batches = {}, [], 0, 0, 0
        begin = self.now
        self._until(requests)
        return self._sum_up(self.now - begin)

    def _until(self, requests: int) -> None:
        while len(self.times) < requests:
            due = self.calendar[0][0] if self.calendar else math.inf
            cpu, gpu = self.cpu.next(self.now), self.gpu.next(self.now)
            self._pass_time(min(due, cpu, gpu))
            if due <= min(cpu, gpu):
                heapq.heappop(self.calendar)[2]()
            elif cpu <= gpu:
                heapq.heappop(self.cpu.jobs)[2]()
            else:
                heapq.heappop(self.gpu.jobs)[2]()

    def _pass_time(self, until: float) -> None:
        step = until - self.now
        running = len(self.cpu.jobs)
        for name, level in (
            ("inflight", self.inflight),
            ("waiting", len(self.outside)),
            ("cpu", min(running, self.plant.cores)),
            ("lock", self.lock_held),
            ("decode", self.decoding),
            ("lanes", self.lanes_taken),
            # As the server measures it: time in which some kernel ran, however small.
            ("gpu", self.kernels > 0),
            ("copy", self.copying),
        ):
            self.area[name] = self.area.get(name, 0.0) + level * step
        self.cpu.virtual += step * self.cpu.speed()
        self.gpu.virtual += step * self.gpu.speed()
        self.now = until

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        self.serial += 1
        heapq.heappush(self.calendar, (self.now + seconds, self.serial, then))

    def _compute(self, seconds: float, then: Callable[[], None]) -> None:
        self.serial += 1
        self.cpu.add(max(seconds, 1e-9), self.serial, then)

    # The way of a request

    def _arrive(self) -> None:
        request = _Request(self.now, self.plant.images)
        if self.inflight < self.permits:
            self._admit(request)
        elif len(self.outside) < self.plant.queue:
            self.outside.append(request)
        else:
            self.refused += 1
            self._later(self.plant.think + 0.5, self._arrive)

    def _admit(self, request: _Request) -> None:
        self.inflight += 1
        fetch = self.plant.fetch_request * (0.5 + self.random.random())
        self._later(
            fetch, lambda: self._locked(self.plant.request_host, lambda: self._cut(request))
        )

    def _locked(self, seconds: float, then: Callable[[], None], *, first: bool = False) -> None:
        self.lock.append((seconds, first, then))
        self._next_lock()

    def _next_lock(self) -> None:
        if self.lock_held or not self.lock:
            return
        seconds, _, then = self.lock.popleft()
        self.lock_held = True

        def release() -> None:
            self.lock_held = False
            then()
            self._next_lock()

        self._compute(seconds * (1 + self.plant.lock_growth * len(self.lock)), release)

    def _cut(self, request: _Request) -> None:
        left = request.left
        while left > 0:
            size = min(self.plant.chunk, left)
            left -= size
            request.chunks += 1
            self.undecoded.append(_Chunk(request, size))
        self._next_decode()

    def _next_decode(self) -> None:
        while self.decoding < self.workers and self.undecoded:
            chunk = self.undecoded.popleft()
            self.decoding += 1
            self._locked(self.plant.parse * chunk.images, lambda one=chunk: self._decode(one))  # type: ignore[misc]

    def _decode(self, chunk: _Chunk) -> None:
        spread = self.plant.unequal
        cost = self.random.lognormvariate(-spread * spread / 2, spread)
        self._compute(self.plant.decode * chunk.images * cost, lambda: self._decoded(chunk))

    def _decoded(self, chunk: _Chunk) -> None:
        self.decoding -= 1
        self.ready.append(chunk)
        self._next_decode()
        self._next_batch()

    def _next_batch(self) -> None:
        while self.lanes_taken < self.streams and self.ready:
            batch, size = [], 0
            while self.ready and size + self.ready[0].images <= self.plant.max_batch:
                chunk = self.ready.popleft()
                batch.append(chunk)
                size += chunk.images
            self.lanes_taken += 1
            self.batches += 1
            launch = self.plant.launch_batch * (1 + self.plant.launch_growth * (self.streams - 1))
            self._locked(launch, lambda b=batch, s=size: self._copy(b, s))  # type: ignore[misc]

    def _copy(self, batch: list[_Chunk], size: int) -> None:
        self.copies.append((self.plant.copy * size, lambda: self._kernel(batch, size)))
        self._next_copy()

    def _next_copy(self) -> None:
        if self.copying or not self.copies:
            return
        seconds, then = self.copies.popleft()
        self.copying = True

        def copied() -> None:
            self.copying = False
            then()
            self._next_copy()

        self._later(seconds, copied)

    def _kernel(self, batch: list[_Chunk], size: int) -> None:
        seconds = self.plant.kernel_batch + self.plant.kernel * size
        if self.plant.lanes_on_cpu:
            self._compute(seconds, lambda: self._computed(batch))
            return
        self.kernels += 1
        self.serial += 1

        def finished() -> None:
            self.kernels -= 1
            self._computed(batch)

        self.gpu.add(seconds, self.serial, finished)

    def _computed(self, batch: list[_Chunk]) -> None:
        self.lanes_taken -= 1
        for chunk in batch:
            chunk.request.chunks -= 1
            if chunk.request.chunks == 0:
                cost = self.plant.answer * self.plant.images
                self._locked(cost, lambda one=chunk.request: self._answered(one))  # type: ignore[misc]
        self._next_batch()

    def _answered(self, request: _Request) -> None:
        self.times.append(self.now - request.born)
        self.images += self.plant.images
        self.inflight -= 1
        self._later(self.plant.think * (0.5 + self.random.random()), self._arrive)
        if self.outside and self.inflight < self.permits:
            self._admit(self.outside.popleft())

    def _sum_up(self, seconds: float) -> Steady:
        busy = {name: area / seconds for name, area in self.area.items()}
        requests = len(self.times) / seconds
        return Steady(
            images=self.images / seconds,
            requests=requests,
            rejected=self.refused / seconds,
            times=sorted(self.times),
            inflight=busy.pop("inflight"),
            waiting=busy.pop("waiting"),
            busy=busy,
            batches=self.batches / seconds,
        )


def steady(
    plant: Plant, streams: int, permits: int, workers: int, *, seed: int = 1, requests: int = 240
) -> Steady:
    """Run the plant at one setting until `requests` are answered, after a third as warm-up."""
    run = _Run(plant, streams, permits, workers, random.Random(seed))
    return run.simulate(requests)
