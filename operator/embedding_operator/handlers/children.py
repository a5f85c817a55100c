"""Bring the children to what is wanted: write what differs, nothing else, and say what it was."""

from dataclasses import dataclass, field

from embedding_operator.api.service import EmbeddingService, Manifest
from embedding_operator.assess.happenings import Happening
from embedding_operator.assess.observed import Trouble
from embedding_operator.clients.cluster import Cluster
from embedding_operator.errors import Forbidden, Refused
from embedding_operator.handlers.look import Children
from embedding_operator.render.difference import difference
from embedding_operator.render.ownership import foreign_owner


@dataclass(slots=True)
class Applied:
    """What came of it. `trouble` is set where a child could not be written."""

    children: Children
    told: list[Happening] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    trouble: Trouble | None = None


async def apply_children(
    cluster: Cluster, service: EmbeddingService, wanted: list[Manifest], live: Children
) -> Applied:
    """Apply in order; the first child that cannot be written ends it.

    A child that differs although the resource did not change was changed by somebody else. The
    tuning file is left out of that: it changes with every setting, and its user tells so.
    """
    applied = Applied(children=dict(live))
    known = service.status.observed_generation == service.generation
    for manifest in wanted:
        what = (manifest["kind"], manifest["metadata"]["name"])
        try:
            await _apply_one(cluster, manifest, applied, known)
        except Forbidden as error:
            applied.trouble = Trouble("Forbidden", f"the operator may not write it: {error}")
        except Refused as error:
            applied.trouble = Trouble("ChildRefused", f"{what[0]} {what[1]}: {error}")
        if applied.trouble is not None:
            break
    return applied


async def _apply_one(cluster: Cluster, wanted: Manifest, applied: Applied, known: bool) -> None:
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    live = applied.children.get((kind, name))
    if live is not None:
        stranger = foreign_owner(live, wanted["metadata"]["ownerReferences"][0])
        if stranger is not None:
            text = f"{kind} {name} exists and {stranger}: rename the resource or remove it"
            applied.trouble = Trouble("NameTaken", text)
            return
    found = difference(wanted, live)
    if found is None:
        return
    applied.children[(kind, name)] = await _write(cluster, wanted, live)
    if kind == "ConfigMap":
        return
    if live is None:
        applied.told.append(Happening("Normal", "Created", f"{kind} {name}"))
    elif known:
        applied.repaired.append(kind)
        applied.told.append(Happening("Warning", "DriftRepaired", f"{kind} {name}: {found}"))
    else:
        applied.told.append(Happening("Normal", "Updated", f"{kind} {name}: {found}"))


async def _write(cluster: Cluster, wanted: Manifest, live: Manifest | None) -> Manifest:
    """Apply; where somebody's entries in a shared list make that impossible, overwrite them.

    Applying never removes what others added, so a port that somebody else named like ours would
    stay in the way for ever.
    """
    try:
        return await cluster.apply(wanted)
    except Refused:
        if live is None:
            raise
        await cluster.overwrite(wanted)
        return await cluster.apply(wanted)
