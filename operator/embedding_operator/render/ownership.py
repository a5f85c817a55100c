"""Whose an existing object with a child's name is. Nothing of somebody else is ever overwritten."""

from collections.abc import Mapping
from typing import Any

from embedding_operator.api.names import KIND
from embedding_operator.api.service import Manifest


def foreign_owner(live: Manifest, owner: Mapping[str, Any]) -> str | None:
    """Say to whom the object belongs when it is not the child of `owner`, else None."""
    references = live.get("metadata", {}).get("ownerReferences", [])
    controllers = [each for each in references if each.get("controller")]
    if any(each["uid"] == owner["uid"] for each in references):
        return None
    if not controllers:
        return "it was not made by Sluice"
    first = controllers[0]
    if first["kind"] == KIND and first["name"] == owner["name"]:
        return f"it belongs to a deleted {KIND} of the same name and is about to go"
    return f"it belongs to {first['kind']} {first['name']}"
