"""Deadlines on the event loop: whoever awaits inside is cancelled when the time is over."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from embedding_service.errors import DeadlineExceeded


@asynccontextmanager
async def before(deadline: float) -> AsyncIterator[asyncio.Timeout]:
    """Give what is inside until `deadline` (time.monotonic(); inf means for ever).

    `reschedule(None)` on what this yields lets the rest go on without a deadline.

    Raises:
        DeadlineExceeded: the time is over; what was inside has been cancelled.
    """
    # The loop's clock need not be time.monotonic(): only the difference holds.
    left = None if math.isinf(deadline) else max(0.0, deadline - time.monotonic())
    try:
        async with asyncio.timeout(left) as timeout:
            yield timeout
    except TimeoutError:
        if not timeout.expired():
            raise
        raise DeadlineExceeded("the deadline of this request has passed") from None
