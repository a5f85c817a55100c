"""Keeps the last half minute of the process's own counters and judges it when somebody asks."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from embedding_contract.bottleneck import Bottleneck
from embedding_service.activity import WINDOW_SECONDS, Activity, Device, Reading, judge, recent
from embedding_service.metrics import Instruments

TICK_SECONDS: Final = 1.0


class ActivityWatch:
    """Takes one reading a second at most, from the ticker or from whoever asks.

    `clock` is time.monotonic but for tests.
    """

    def __init__(
        self, instruments: Instruments, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._instruments = instruments
        self._clock = clock
        # One more than fill the window: its beginning is a reading too.
        self._readings: deque[Reading] = deque(maxlen=int(WINDOW_SECONDS / TICK_SECONDS) + 1)
        self._last: Bottleneck | None = None

    async def run(self) -> None:
        """Read once a second, for ever."""
        while True:
            self.tick()
            await asyncio.sleep(TICK_SECONDS)

    def tick(self) -> None:
        """Take a reading unless the last one is fresh. While nothing happens it costs next to
        nothing.
        """  # noqa: D205
        now = self._clock()
        before = self._readings[-1] if self._readings else None
        if before is None or now - before.at >= 0.9 * TICK_SECONDS:
            self._readings.append(self._instruments.reading(now, before))

    def activity(self) -> Activity | None:
        """Judge the last half minute under the setting in force; None while it is too short."""
        self.tick()
        cores, memory = self._instruments.limits()
        found = judge(recent(self._readings), Device(cores, memory), self._last)
        self._last = None if found is None else found.verdict
        return found
