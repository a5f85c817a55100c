"""Where a load may go: loopback, or the local cluster's pods and Services. Nowhere else."""

import ipaddress
from urllib.parse import urlsplit

POD_NETWORK = ipaddress.ip_network("10.244.0.0/16")
SERVICE_NETWORK = ipaddress.ip_network("10.96.0.0/16")


class ForeignTargetError(ValueError):
    """The address is not ours. A load generator aimed elsewhere is an attack."""


def checked_target(url: str) -> str:
    """Return `url` when a load may be sent to it.

    Names other than localhost are refused, not resolved: what a name means can change.

    Raises:
        ForeignTargetError: the host is not loopback and not inside the local cluster.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise ForeignTargetError(f"{url!r} is not an http address")
    if parts.hostname == "localhost":
        return url
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        raise ForeignTargetError(
            f"{parts.hostname} is a name; give an address: loopback, {POD_NETWORK} "
            f"or {SERVICE_NETWORK}"
        ) from None
    if address.is_loopback:
        return url
    if address.version == 4 and (address in POD_NETWORK or address in SERVICE_NETWORK):
        return url
    raise ForeignTargetError(
        f"{address} is neither loopback nor in the local cluster ({POD_NETWORK}, {SERVICE_NETWORK})"
    )
