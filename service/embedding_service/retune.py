"""Follows the mounted tuning file: reads it on change, applies it live, says what is in force.

The kubelet swaps the `..data` link of the volume, so that the file changes at once and whole. A
file that is refused changes nothing. Applying never fails a request.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from embedding_contract.endpoints import TUNING_FILE
from embedding_contract.report import TuningReport
from embedding_contract.tuning import (
    MAX_FILE_BYTES,
    RejectionReason,
    Setting,
    TuningFile,
    TuningRejected,
    parse_tuning,
    setting_to_mapping,
)
from embedding_service.errors import ServiceError
from embedding_service.metrics import Instruments

POLL_SECONDS: Final = 0.25
"""Reading a file of some hundred bytes costs nothing; the operator waits for the answer."""

_log = logging.getLogger(__name__)


class Tunable(Protocol):
    """What can be tuned. `engine.pipeline.Pipeline` is the real one."""

    @property
    def setting(self) -> Setting:
        """The setting in force, resolved."""

    def retune(self, setting: Setting) -> Setting:
        """Apply the setting and return what is in force; may block."""


class TuningWatch:
    """Watches `directory` for one pod. Without a directory it only reports."""

    def __init__(
        self,
        pipeline: Tunable,
        instruments: Instruments,
        *,
        directory: Path | None,
        pod_name: str,
        initial: Setting,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start with `initial` in force; `clock` gives seconds since the epoch."""
        self._pipeline = pipeline
        self._instruments = instruments
        self._path = None if directory is None else directory / TUNING_FILE
        self._pod_name = pod_name
        self._clock = clock
        self._seen: bytes | str | None = None
        self._applied: TuningFile | None = None
        self._stopped: str | None = None
        self._report = TuningReport(pod_name, None, pipeline.setting, initial, clock())

    @property
    def report(self) -> TuningReport:
        """What is in force and what was last refused."""
        return self._report

    @property
    def stopped(self) -> str | None:
        """None while the file is watched, else why it no longer is."""
        return self._stopped

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                await asyncio.sleep(POLL_SECONDS)
                await self.look()
        except Exception as error:
            self._stopped = f"the tuning file is no longer watched: {type(error).__name__}"
            _log.exception("the tuning watch stopped")
            raise

    async def look(self) -> None:
        """Read the file once and apply it when it is new and valid."""
        found = None if self._path is None else await asyncio.to_thread(_read, self._path)
        if found is None or found == self._seen:
            return
        self._seen = found
        try:
            await self._take(found)
        except TuningRejected as rejected:
            self._refuse(rejected.reason, str(rejected))

    async def _take(self, found: bytes | str) -> None:
        if isinstance(found, str):
            raise TuningRejected("malformed", found)
        file = parse_tuning(found)
        if file == self._applied:  # back to what is in force: nothing to do, nothing is wrong
            self._put_report(rejected=None)
            return
        self._check_generation(file.generation)
        await self._apply(file)

    def _check_generation(self, generation: int) -> None:
        """Refuse to go back: the operator takes the generation as its acknowledgement."""
        if self._applied is None or generation > self._applied.generation:
            return
        which = "the same" if generation == self._applied.generation else "an older"
        raise TuningRejected(
            "stale",
            f"generation {generation} is {which} generation than {self._applied.generation}, "
            "which is in force; a changed file needs a higher one",
        )

    async def _apply(self, file: TuningFile) -> None:
        wanted = file.for_pod(self._pod_name)
        try:
            await asyncio.to_thread(self._pipeline.retune, wanted)
        except ServiceError as error:  # no more lanes fit on the device, for one
            reason = f"generation {file.generation} cannot be applied: {error.message}"
            raise TuningRejected("out_of_range", reason) from error
        self._applied = file
        self._report = TuningReport(
            self._pod_name, file.generation, self._pipeline.setting, wanted, self._clock()
        )
        self._instruments.tuning_generation(file.generation)
        notes = {"generation": file.generation, **setting_to_mapping(self._pipeline.setting)}
        _log.info("tuning applied", extra=notes)

    def _refuse(self, reason: RejectionReason, message: str) -> None:
        self._instruments.tuning_rejected(reason)
        self._put_report(rejected=message)
        _log.warning("tuning file refused", extra={"reason": reason, "problem": message})

    def _put_report(self, *, rejected: str | None) -> None:
        before = self._report
        self._report = TuningReport(
            self._pod_name, before.generation, self._pipeline.setting, before.requested,
            before.since, rejected,
        )  # fmt: skip


def _read(path: Path) -> bytes | str | None:
    """Return the content; None when there is no file; a text when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
