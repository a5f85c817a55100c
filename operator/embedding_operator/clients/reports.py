"""What pods say they run: GET /v1/tuning of each of them."""

from collections.abc import Mapping
from typing import Protocol

from embedding_contract.report import TuningReport


class Reports(Protocol):
    """Asks pods; a pod that does not answer is a text that says why."""

    async def ask(self, addresses: Mapping[str, str]) -> dict[str, TuningReport | str]:
        """Ask all pods at once. `addresses`: pod name -> IP."""
        ...
