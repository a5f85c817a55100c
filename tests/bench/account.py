"""The account of the cores: what the stages cost alone against what the whole run used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FULL: Final = 0.9
"""From this share of all cores on, the machine is called full."""


@dataclass(frozen=True, slots=True)
class Account:
    """CPU seconds an image. `stages` were measured in isolation, `whole` in the run itself.

    `client` is the client's own part of `whole`; `stages` holds it too, as measured alone.
    `busy` is the share of the machine's cores that server and client used in the run, `foreign`
    the share that somebody else used.
    """

    stages: Mapping[str, float]
    whole: float
    client: float
    images_per_second: float
    cores: int
    busy: float
    foreign: float

    @property
    def explained(self) -> float:
        """The stages' sum."""
        return sum(self.stages.values())

    @property
    def unexplained(self) -> float:
        """What the stages do not explain of the whole, as a share; negative when they say more."""
        return 1 - self.explained / self.whole

    @property
    def ceiling(self) -> float:
        """Images/s if server and client had every core and used nothing but the stages' sum."""
        return self.cores / self.explained

    @property
    def largest(self) -> str:
        """The stage that takes most; the client is not the server's, and is left out."""
        own = {name: cost for name, cost in self.stages.items() if name != "client"}
        return max(own, key=lambda name: own[name])


def account_of(
    stages: Mapping[str, float],
    *,
    images: float,
    seconds: float,
    server_cpu: float,
    client_cpu: float,
    machine_cpu: float,
    cores: int,
) -> Account:
    """Put a run (CPU seconds and images of its window) beside its stages (CPU seconds an image)."""
    ours = server_cpu + client_cpu
    return Account(
        stages=stages,
        whole=ours / images,
        client=client_cpu / images,
        images_per_second=images / seconds,
        cores=cores,
        busy=ours / (cores * seconds),
        foreign=max(0.0, (machine_cpu - ours) / (cores * seconds)),
    )


def verdict(account: Account) -> str:
    """Say in a few sentences, computed from the numbers, what limits the run next."""
    name = account.largest
    cost = account.stages[name]
    halved = account.explained / (account.explained - cost / 2)
    after = sorted(account.stages, key=lambda stage: account.stages[stage], reverse=True)
    second = next((stage for stage in after if stage not in (name, "client")), name)
    shares = (
        f"{name} takes {cost / account.explained:.0%} of the CPU time of an image and {second} "
        f"{account.stages[second] / account.explained:.0%}; the client itself takes "
        f"{account.stages.get('client', 0.0) / account.explained:.0%}."
    )
    if account.busy + account.foreign < FULL:
        idle = 1 - account.busy - account.foreign
        return (
            f"{idle:.0%} of the cores were idle: the next bottleneck is not CPU time but how work "
            f"is handed from stage to stage. {shares}"
        )
    return (
        f"The cores are full ({account.busy:.0%} server and client, {account.foreign:.0%} others), "
        f"so CPU time limits. {shares} The next bottleneck is {name}: at half its cost the same "
        f"cores would do {halved:.2f} x the images."
    )


def account_table(account: Account) -> str:
    """Return the account as a Markdown table."""
    lines = ["| stage, measured alone | CPU ms an image | of the whole |", "|---|---|---|"]
    for name, cost in account.stages.items():
        lines.append(f"| {name} | {cost * 1000:.3f} | {cost / account.whole:.1%} |")
    lines += [
        f"| sum of the stages | {account.explained * 1000:.3f} "
        f"| {account.explained / account.whole:.1%} |",
        f"| the whole run, server and client | {account.whole * 1000:.3f} | 100 % |",
        f"| **unexplained** | {(account.whole - account.explained) * 1000:.3f} "
        f"| **{account.unexplained:.1%}** |",
    ]
    return "\n".join(lines)
