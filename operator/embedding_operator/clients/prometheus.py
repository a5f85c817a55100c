"""The socket to Prometheus: bounded in time and size, and one exception for whatever goes wrong.

All questions of one tick are asked at once. One that fails fails the tick: half an answer would
look like a smaller load.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import httpx

from embedding_operator.errors import PrometheusUnavailable
from embedding_operator.tuning.queries import QUERIES, Answers, Series

RANGE_PATH: Final = "/api/v1/query_range"
REQUEST_SECONDS: Final = 5.0
TICK_SECONDS: Final = 15.0
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
AT_ONCE: Final = 6


class Prometheus:
    """Asks any Prometheus-compatible server. One for the whole operator.

    Args:
        transport: how bytes travel; tests hand in their own.
        tick_seconds: the most that all questions of one tick may take.
        max_answer_bytes: the largest answer to one question.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        tick_seconds: float = TICK_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._tick_seconds = tick_seconds
        self._max_answer_bytes = max_answer_bytes
        self._turn = asyncio.Semaphore(AT_ONCE)
        # A proxy from the environment is for the way out of the cluster, not for this.
        self._client = httpx.AsyncClient(
            transport=transport, timeout=REQUEST_SECONDS, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(
        self,
        address: str,
        namespace: str,
        pods: Sequence[str],
        ends: Sequence[float],
        *,
        window_seconds: float,
    ) -> Answers:
        """Ask every question of the catalogue for the windows that end at `ends`.

        Args:
            address: base address, a path prefix included where there is one.
            namespace: of the pods.
            pods: their names.
            ends: epoch seconds, `window_seconds` apart, the oldest first.
            window_seconds: the length of a window.

        Raises:
            PrometheusUnavailable: unreachable, too slow, too large, or not an answer.
        """
        times = {
            "start": f"{ends[0]:.3f}",
            "end": f"{ends[-1]:.3f}",
            "step": f"{window_seconds:.3f}",
        }
        try:
            async with asyncio.timeout(self._tick_seconds), asyncio.TaskGroup() as group:
                tasks = {
                    query.name: group.create_task(
                        self._one(address, query.text(namespace, pods, window_seconds), times)
                    )
                    for query in QUERIES
                }
        except TimeoutError as error:
            raise PrometheusUnavailable(
                f"{address} did not answer within {self._tick_seconds:g} s"
            ) from error
        except ExceptionGroup as several:
            ours = several.subgroup(PrometheusUnavailable)
            if ours is None or len(ours.exceptions) < len(several.exceptions):
                raise  # a fault of this program
            raise ours.exceptions[0] from None
        return {name: task.result() for name, task in tasks.items()}

    async def _one(self, address: str, query: str, times: Mapping[str, str]) -> list[Series]:
        # Servers that put several stores together must not leave one out in silence.
        form = {"query": query, **times, "partial_response": "false"}
        async with self._turn:
            body = await self._post(address.rstrip("/") + RANGE_PATH, form)
        return _series(body, address)

    async def _post(self, url: str, form: Mapping[str, str]) -> bytes:
        """Read one answer, at most so many bytes."""
        parts: list[bytes] = []
        size = 0
        try:
            async with self._client.stream("POST", url, data=dict(form)) as response:
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > self._max_answer_bytes:
                        raise PrometheusUnavailable(
                            f"the answer of {url} is larger than {self._max_answer_bytes} bytes"
                        )
                    parts.append(part)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            what = str(error) or type(error).__name__
            raise PrometheusUnavailable(f"{url} cannot be reached: {what}") from error
        body = b"".join(parts)
        if response.status_code != httpx.codes.OK:
            raise PrometheusUnavailable(f"{url} answered {response.status_code}{_reason(body)}")
        return body


def _reason(body: bytes) -> str:
    """Prometheus's own words, if it is one.

    Nothing else of an answer is ever shown: the address comes from whoever may write a resource,
    and the operator must not read other servers aloud to him.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict) or document.get("status") != "error":
        return ""
    return f": {str(document.get('error', ''))[:200]}"


def _series(body: bytes, address: str) -> list[Series]:
    """Read the matrix of a range query."""
    try:
        document = json.loads(body)
        if document["status"] != "success" or document["data"]["resultType"] != "matrix":
            raise PrometheusUnavailable(f"{address} did not answer with a matrix")
        return [
            Series(
                {str(name): str(value) for name, value in one["metric"].items()},
                tuple((float(time), float(value)) for time, value in one["values"]),
            )
            for one in document["data"]["result"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PrometheusUnavailable(f"{address} did not answer as Prometheus does") from error
