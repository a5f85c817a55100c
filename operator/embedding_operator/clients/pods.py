"""The pods' own word on what they run: GET /v1/tuning of each of them, all at once."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import httpx

from embedding_contract.endpoints import PORT, TUNING_PATH
from embedding_contract.report import TuningReport, parse_report

REQUEST_SECONDS: Final = 2.0
AT_ONCE: Final = 32
MAX_BYTES: Final = 64 * 1024


class PodReports:
    """Fulfils `clients.reports.Reports`.

    Args:
        transport: how bytes travel; tests hand in their own.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # No proxy from the environment: pods are inside.
        self._client = httpx.AsyncClient(
            transport=transport, timeout=REQUEST_SECONDS, trust_env=False, follow_redirects=False
        )
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def ask(self, addresses: Mapping[str, str]) -> dict[str, TuningReport | str]:
        """See `Reports`."""
        answers = await asyncio.gather(*(self._one(ip) for ip in addresses.values()))
        return dict(zip(addresses, answers, strict=True))

    async def _one(self, address: str) -> TuningReport | str:
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._gate, asyncio.timeout(REQUEST_SECONDS):
                response = await self._client.get(f"http://{host}:{PORT}{TUNING_PATH}")
        except TimeoutError:
            return f"no answer within {REQUEST_SECONDS:g} seconds"
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        if response.status_code != httpx.codes.OK:
            return f"{TUNING_PATH} answered {response.status_code}"
        if len(response.content) > MAX_BYTES:
            return f"{TUNING_PATH} answered more than {MAX_BYTES} bytes"
        try:
            return parse_report(response.json())
        except ValueError as error:
            return f"{TUNING_PATH} is not a report of ours: {error}"
