"""A pool of simulated servers with its Prometheus and its clock: it drives the real advance().

The plant's steady state at a setting is measured once; every window then shows it with noise:
throughput and latency drift together (half of the noise is slow), busy seconds follow throughput
with a fifth of it, as the demands of real servers do. A window across a change shows both settings.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from embedding_contract import metrics as contract
from embedding_contract.tuning import Setting
from embedding_operator.api.tuning import TuningMemory, TuningPolicy
from embedding_operator.tuning.advance import Observation, Outcome, PodView, advance
from embedding_operator.tuning.queries import Series
from embedding_operator.tuning.trial import most_windows
from embedding_operator.tuning.window import MetricsGap, Windows, build_windows, instants
from simulation.plant import Plant, Steady, steady

ACKNOWLEDGE_SECONDS = 1.5
BEGIN = 1_000_000.0

_STATES: dict[tuple[Plant, int, int, int], Steady] = {}


def state(plant: Plant, setting: Setting) -> Steady:
    """The steady state of one pod; measured once for each setting."""
    workers = setting.decode_workers or max(1, round(plant.cores))
    key = (plant, setting.num_streams, setting.semaphore_size, workers)
    if key not in _STATES:
        _STATES[key] = steady(*key)
    return _STATES[key]


@dataclass
class World:
    """One service under load. `plant` may be changed while it runs: the load or the work moved."""

    plant: Plant
    spec: Setting
    policy: TuningPolicy
    noise: float = 0.05
    seed: int = 1
    pods: tuple[str, ...] = ("pod-a",)
    now: float = BEGIN
    memory: TuningMemory = field(default_factory=TuningMemory)
    setting: Setting | None = None
    pod_settings: Mapping[str, Setting] = field(default_factory=dict)
    gap: MetricsGap | None = None
    restarts: int = 0
    stable: bool = True
    outcomes: list[Outcome] = field(default_factory=list)
    past: list[tuple[float, Plant, dict[str, Setting]]] = field(default_factory=list)
    seen: dict[tuple[str, float], dict[tuple[str, str, str], float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.setting = self.setting or self.spec
        self._record()
        self.now += 2 * self.policy.window_seconds

    @property
    def wanted(self) -> dict[str, Setting]:
        """What every pod is to run."""
        assert self.setting is not None
        return {pod: self.pod_settings.get(pod, self.setting) for pod in self.pods}

    def tick(self) -> Outcome:
        """One window later: look, advance, take the settings over."""
        self.now += self.policy.window_seconds
        if self.past[-1][1] != self.plant:
            self._record()
        outcome = advance(self.memory, self.observe(), self.policy, self.now)
        before = self.wanted
        self.memory, self.setting = outcome.memory, outcome.setting
        self.pod_settings = outcome.pod_settings
        if self.wanted != before:
            self._record()
        self.outcomes.append(outcome)
        return outcome

    def run(self, windows: int) -> "World":
        """Let some windows pass."""
        for _ in range(windows):
            self.tick()
        return self

    def observe(self) -> Observation:
        """What the edge would show now."""
        assert self.setting is not None
        metrics = self.gap or self._windows()
        return Observation(
            resource="clip",
            namespace="default",
            spec_setting=self.spec,
            current=self.setting,
            pods=tuple(PodView(pod, True, self.restarts, 1, BEGIN) for pod in self.pods),
            rollout_stable=self.stable,
            in_force_since=self.past[-1][0],
            metrics=metrics,
            max_batch=self.plant.max_batch,
        )

    def _record(self) -> None:
        """From the moment of the acknowledgement on the new setting works."""
        self.past.append((self.now + ACKNOWLEDGE_SECONDS, self.plant, self.wanted))

    def _windows(self) -> Windows | MetricsGap:
        count = most_windows(self.policy)
        ends = instants(self.now, self.policy.window_seconds, count)
        answers: dict[str, list[Series]] = {}
        for pod in self.pods:
            lines: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
            for end in ends:
                if end - self.policy.window_seconds < BEGIN:
                    continue
                for key, value in self._figures(pod, end).items():
                    lines.setdefault(key, []).append((end, value))
            for (name, label, text), points in lines.items():
                labels = {"pod": pod} | ({label: text} if label else {})
                answers.setdefault(name, []).append(Series(labels, tuple(points)))
        began = dict.fromkeys(self.pods, BEGIN)
        return build_windows(answers, began, ends, self.policy.window_seconds)

    def _figures(self, pod: str, end: float) -> dict[tuple[str, str, str], float]:
        """One pod in one window, by query, label and label value. What was once stays so."""
        if (pod, end) not in self.seen:
            self.seen[pod, end] = self._first_seen(pod, end)
        return self.seen[pod, end]

    def _first_seen(self, pod: str, end: float) -> dict[tuple[str, str, str], float]:
        start = end - self.policy.window_seconds
        parts = [
            (plant, settings[pod])
            for (at, plant, settings), until in zip(
                self.past, [*(at for at, _, _ in self.past[1:]), math.inf], strict=True
            )
            if until > start and at < end
        ] or [(self.past[0][1], self.past[0][2][pod])]
        figures = [self._steady(pod, end, plant, setting) for plant, setting in parts]
        result = {
            key: sum(one.get(key, 0.0) for one in figures) / len(figures) for key in figures[0]
        }
        for name in ("num_streams", "semaphore_size", "decode_workers"):
            values = [one[f"{name}_most", "", ""] for one in figures]
            result[f"{name}_least", "", ""], result[f"{name}_most", "", ""] = (
                min(values),
                max(values),
            )
        return result

    def _steady(
        self, pod: str, end: float, plant: Plant, setting: Setting
    ) -> dict[tuple[str, str, str], float]:
        one = state(plant, setting)
        index = round((end - BEGIN) / self.policy.window_seconds)
        load, latency = self._disturb(pod, index)
        chance = random.Random(f"{self.seed} {pod} {index} costs")

        def costs(value: float) -> float:
            return value * load * math.exp(chance.gauss(0, self.noise / 5))

        busy, workers = one.busy, setting.decode_workers or max(1, round(plant.cores))
        plain = {
            "samples": 6.0,
            "request_seconds": costs(one.inflight + one.waiting),
            "batches": one.batches * load,
            "batch_images": one.images * load,
            "permits": one.inflight,
            "waiting": one.waiting,
            "cpu_busy": min(plant.cores, costs(busy["cpu"])),
            "stream_busy": min(setting.num_streams, costs(busy["lanes"])),
            "decode_busy": min(workers, costs(busy["decode"])),
            "loop_busy": min(1.0, costs(busy["lock"]) * 0.5),
            "gil_busy": min(1.0, costs(busy["lock"])),
            "copy_busy": min(1.0, costs(busy["copy"])),
            "gpu_busy": min(1.0, costs(busy["gpu"])),
            "gpu_decode_busy": 0.0,
            "cpu_throttled": 0.0,
            "cpu_limit": plant.cores,
            "num_streams_most": setting.num_streams,
            "semaphore_size_most": setting.semaphore_size,
            "decode_workers_most": workers,
            "decode_on_gpu": 0.0,
        }
        if not plant.lanes_on_cpu:
            plain["gpu_memory_used"] = plant.base_bytes + setting.num_streams * plant.lane_bytes
            plain["gpu_memory_total"] = plant.memory_bytes
            plain["warmup_lane_bytes"] = plant.lane_bytes
        figures = {(name, "", ""): float(value) for name, value in plain.items()}
        return figures | self._labelled(plant, one, load, latency)

    def _labelled(
        self, plant: Plant, one: Steady, load: float, latency: float
    ) -> dict[tuple[str, str, str], float]:
        figures = {
            ("requests", "outcome", "ok"): one.requests * load,
            ("requests", "outcome", "rejected"): one.rejected * load,
            ("images", "outcome", "ok"): one.images * load,
            ("stage_seconds", "stage", "fetch"): one.requests * load * plant.fetch_request,
            ("stage_passes", "stage", "fetch"): one.requests * load,
        }
        for batch in (1, plant.max_batch):
            seconds = plant.launch_batch + plant.kernel_batch + batch * (plant.kernel + plant.copy)
            figures["warmup_lane_seconds", "batch", str(batch)] = seconds
        for edge in (*contract.SECONDS_BUCKETS, math.inf):
            below = sum(seconds * latency <= edge for seconds in one.times)
            text = "+Inf" if edge == math.inf else str(edge)
            figures["request_buckets", "le", text] = one.requests * load * below / len(one.times)
        return figures

    def _disturb(self, pod: str, index: int) -> tuple[float, float]:
        """Factors on throughput and latency of this window: white noise, and a slow drift."""
        drift, weight = 0.0, 1.0
        for back in range(8):
            chance = random.Random(f"{self.seed} {index - back}")
            drift += weight * chance.gauss(0, 0.3 * self.noise)
            weight *= 0.8
        own = random.Random(f"{self.seed} {pod} {index}")
        load = math.exp(drift + own.gauss(0, 0.85 * self.noise))
        return load, math.exp(own.gauss(0, 1.2 * self.noise)) / load


def best(plant: Plant, policy: TuningPolicy) -> float:
    """The most images a second of a grid over the bounds, of one pod."""
    bounds = policy.bounds
    return max(
        state(plant, Setting(streams, permits)).images
        for streams in (1, 2, 3, 4, 6, 8)
        for permits in (2, 8, 16, 64)
        if bounds.num_streams.holds(streams) and bounds.semaphore_size.holds(permits)
    )
