"""The decode pool: threads that turn encoded images into slots. Its size changes live.

A request enters with one call, however many images it has; threads take its images one by one.
The work holds no interpreter lock for most of its time, so threads scale with cores.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from embedding_service.engine.job import Job
from embedding_service.engine.lines import TwoLines
from embedding_service.errors import Overloaded

Work = Callable[[Job, int], Callable[[], None] | None]
"""Decodes one image. What it returns, if anything, is called next in the same thread: it may wait
(for a slot, say) and does not count as being on the image."""


class DecodePool:
    """`workers` threads that call `work(job, index)` for each image.

    Live requests come first, see `lines`; within a class it is first come first served.
    """

    def __init__(
        self,
        work: Work,
        workers: int,
        *,
        max_jobs: int,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """`prepare` runs once in each new thread; at most `max_jobs` requests may wait."""
        self._work = work
        self._prepare = prepare
        self._max_jobs = max_jobs
        self._jobs: TwoLines[tuple[Job, deque[int]]] = TwoLines()
        self._change = threading.Condition()
        self._threads: dict[int, threading.Thread] = {}
        self._busy_since: dict[int, float] = {}
        self._workers = 0
        self._closed = False
        self.resize(workers)

    @property
    def workers(self) -> int:
        """Threads in force."""
        return self._workers

    @property
    def threads(self) -> int:
        """Threads that exist; above `workers` until the last image of a retired one is done."""
        return len(self._threads)

    @property
    def pending(self) -> bool:
        """Images wait for a thread."""
        return len(self._jobs) > 0

    @property
    def busy(self) -> int:
        """Threads that decode at this moment, without those that wait for a slot."""
        return len(self._busy_since)

    def submit(self, job: Job) -> None:
        """Queue the pending images of a job.

        Raises:
            Overloaded: more jobs wait than the pool may hold.
        """
        with self._change:
            if len(self._jobs) >= self._max_jobs:
                raise Overloaded("the decode queue is full; try again later", 1.0)
            if job.pending:
                self._jobs.push((job, deque(job.pending)), job.terms.priority)
                self._change.notify(len(job.pending))

    def resize(self, workers: int) -> None:
        """Set the number of threads. Surplus threads end after the image in their hands."""
        if workers < 1:
            raise ValueError(f"a decode pool needs at least one thread, not {workers}")
        with self._change:
            self._workers = workers
            for index in range(workers):
                if index not in self._threads:
                    self._start(index)
            self._change.notify_all()

    def sweep(self) -> None:
        """Drop the requests that nobody waits for any more."""
        with self._change:
            now = time.monotonic()
            self._jobs.sweep(lambda entry: entry[0].gone(now))

    def stuck(self, now: float, limit_seconds: float) -> str | None:
        """Name a thread that has been on one image for longer than the limit, or None."""
        for index, since in list(self._busy_since.items()):
            if now - since > limit_seconds:
                return f"decode thread {index} has been on one image for {now - since:.0f} s"
        return None

    def close(self, timeout_seconds: float) -> list[Job]:
        """Stop and join all threads, each at most this long; return the jobs still queued."""
        with self._change:
            self._closed = True
            left = [job for job, _ in self._jobs.sweep(lambda entry: True)]
            threads = list(self._threads.values())
            self._change.notify_all()
        for thread in threads:
            thread.join(timeout_seconds)
        return left

    def _start(self, index: int) -> None:
        thread = threading.Thread(
            target=self._run, args=(index,), name=f"decode-{index}", daemon=True
        )
        self._threads[index] = thread
        thread.start()

    def _run(self, index: int) -> None:
        self._prepare()
        while (task := self._next(index)) is not None:
            self._busy_since[index] = time.monotonic()
            hand_over = self._work(*task)
            del self._busy_since[index]
            if hand_over is not None:
                hand_over()

    def _next(self, index: int) -> tuple[Job, int] | None:
        """Wait for one image; None tells this thread to end."""
        with self._change:
            while True:
                self._change.wait_for(lambda: self._jobs or self._closed or index >= self._workers)
                if self._closed or index >= self._workers:
                    del self._threads[index]
                    self._change.notify()  # the news may have been for a thread that stays
                    return None
                job, pending = self._jobs.head()
                if job.gone(time.monotonic()):
                    self._jobs.turn()
                    continue
                self._jobs.turn(keep=len(pending) > 1)
                return job, pending.popleft()
