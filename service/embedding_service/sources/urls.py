"""Images by http and https. Each redirect is a new URL: it is checked like the first one."""

import asyncio
import ssl
from http import HTTPStatus
from typing import Final

import httpcore

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageRejected
from embedding_service.sources.budget import Budget
from embedding_service.sources.guard import Policy, Target, parse_url, redirected
from embedding_service.sources.network import GuardedNetwork, NameUnknown
from embedding_service.sources.resolver import Resolve

IDLE_SECONDS: Final = 2.0
"""How long an idle connection is kept for the next image of the same host: shorter than servers
keep theirs, so that hardly any is closed by the other side just when it is used again."""
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_NOT_THERE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_REFUSED: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
)


class UrlSource:
    """Fetches URLs. No cookies, no credentials, no proxy, no compressed bodies."""

    def __init__(
        self, policy: Policy, resolve: Resolve, *, max_redirects: int, connections: int
    ) -> None:
        self._policy = policy
        self._max_redirects = max_redirects
        self._connections = connections
        self._network = GuardedNetwork(policy, resolve)
        self._plain = self._pool(None)
        self._secure: httpcore.AsyncConnectionPool | None = None

    def _pool(self, tls: ssl.SSLContext | None) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=self._connections,
            max_keepalive_connections=self._connections,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self._network,
        )

    async def _pool_for(self, target: Target) -> httpcore.AsyncConnectionPool:
        """Return the pool. Certificates are read once, in a thread: it takes many milliseconds."""
        if target.scheme == "http":
            return self._plain
        if self._secure is None:
            tls = await asyncio.to_thread(httpcore.default_ssl_context)
            self._secure = self._secure or self._pool(tls)
        return self._secure

    async def read(self, url: str, budget: Budget) -> bytes:
        """Fetch one image. The caller bounds the time.

        Raises:
            ImageRejected: with the code that fits; the message names the host and never the URL,
                which may hold a signature.
        """
        target = parse_url(url)
        for _ in range(self._max_redirects + 1):
            self._policy.check_target(target)
            found = await self._ask(target, budget)
            if isinstance(found, bytes):
                return found
            target = found
        raise ImageRejected(
            ImageErrorCode.UPSTREAM_ERROR,
            f"the URL redirects more than {self._max_redirects} times, which is the limit",
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._plain.aclose()
        if self._secure is not None:
            await self._secure.aclose()

    async def _ask(self, target: Target, budget: Budget) -> bytes | Target:
        """Send one request; return the image, or where it is said to be."""
        pool = await self._pool_for(target)
        try:
            async with pool.stream("GET", _url(target), headers=_headers(target)) as answer:
                if answer.status in _REDIRECTS and _header(answer, b"location"):
                    return redirected(target, _header(answer, b"location"))
                _check_answer(answer, target.host, budget)
                return await _body(answer, budget)
        except (httpcore.TimeoutException, TimeoutError):
            raise ImageRejected(
                ImageErrorCode.TIMEOUT, f"the host {target.host} did not answer in time"
            ) from None
        except NameUnknown:
            raise _upstream(f"the host {target.host} is not known") from None
        except httpcore.ConnectError:
            raise _upstream(
                f"no connection to the host {target.host}, or its certificate is not valid"
            ) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):  # ssl.SSLError is one
            raise _upstream(f"the host {target.host} broke off its answer") from None


def _url(target: Target) -> httpcore.URL:
    return httpcore.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )


def _headers(target: Target) -> list[tuple[bytes, bytes]]:
    """Say who asks for what. Compression is turned down: little must not become much here."""
    return [
        (b"Host", target.authority.encode()),
        (b"User-Agent", b"sluice-server"),
        (b"Accept", b"image/*, application/octet-stream;q=0.9, */*;q=0.5"),
        (b"Accept-Encoding", b"identity"),
    ]


def _check_answer(answer: httpcore.Response, host: str, budget: Budget) -> None:
    """Look at status and headers before anything of the body is read.

    401, 403 and 451 are forbidden_source: another try cannot help, another source can.
    """
    if answer.status in _NOT_THERE:
        raise ImageRejected(
            ImageErrorCode.NOT_FOUND, f"the host {host} has no such image: {answer.status}"
        )
    if answer.status in _REFUSED:
        raise ImageRejected(
            ImageErrorCode.FORBIDDEN_SOURCE, f"the host {host} refused it: {answer.status}"
        )
    if answer.status != HTTPStatus.OK:
        raise _upstream(f"the host {host} answered {answer.status}")
    if _header(answer, b"content-encoding").lower() not in {"", "identity"}:
        raise _upstream(f"the host {host} sent a compressed body, which nobody asked for")
    length = _header(answer, b"content-length")
    if length.isdecimal():
        budget.check_size(int(length))


async def _body(answer: httpcore.Response, budget: Budget) -> bytes:
    image = budget.collect()
    try:
        async for piece in answer.aiter_stream():
            image.add(piece)
        return image.bytes()
    except BaseException:
        image.drop()
        raise


def _header(answer: httpcore.Response, name: bytes) -> str:
    """Return the value of a header, empty when it is absent."""
    for key, value in answer.headers:
        if key.lower() == name:
            return bytes(value).decode("utf-8", "replace").strip()
    return ""


def _upstream(message: str) -> ImageRejected:
    return ImageRejected(ImageErrorCode.UPSTREAM_ERROR, message)
