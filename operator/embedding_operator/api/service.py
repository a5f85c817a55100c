"""One EmbeddingService as the API server returned it, read strictly. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from embedding_operator.api.names import API_VERSION, KIND, Key
from embedding_operator.api.spec import EmbeddingServiceSpec
from embedding_operator.api.status import EmbeddingServiceStatus

Manifest = dict[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, slots=True)
class EmbeddingService:
    """A resource: who it is, what its user wants, what was last reported.

    `spec` is None when it cannot be read; `problem` then says why and what to do.
    """

    key: Key
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    spec: EmbeddingServiceSpec | None
    problem: str
    status: EmbeddingServiceStatus


def parse_service(manifest: Mapping[str, Any]) -> EmbeddingService:
    """Read a resource. A spec that cannot be read is a value, not an exception."""
    metadata = manifest["metadata"]
    spec, problem = _parse_spec(manifest.get("spec") or {})
    return EmbeddingService(
        key=Key(metadata["namespace"], metadata["name"]),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        resource_version=metadata.get("resourceVersion", ""),
        deleting="deletionTimestamp" in metadata,
        spec=spec,
        problem=problem,
        status=_parse_status(manifest.get("status") or {}),
    )


def _parse_spec(spec: Mapping[str, Any]) -> tuple[EmbeddingServiceSpec | None, str]:
    try:
        return EmbeddingServiceSpec.model_validate(spec), ""
    except ValidationError as error:
        return None, describe_problems(error)


def _parse_status(status: Mapping[str, Any]) -> EmbeddingServiceStatus:
    """Read status, dropping what another version wrote and this one cannot read.

    The tuner's memory goes first, so that the setting in force outlives it.
    """
    pools = [
        {name: value for name, value in pool.items() if name != "tuning"}
        for pool in status.get("pools") or []
    ]
    for attempt in (status, {**status, "pools": pools}, {"image": status.get("image", "")}):
        try:
            return EmbeddingServiceStatus.model_validate(attempt)
        except ValidationError:
            continue
    return EmbeddingServiceStatus()


def describe_problems(error: ValidationError) -> str:
    """Each problem with its path, in the words of the spec."""
    return "; ".join(
        f"spec{''.join(f'.{part}' for part in each['loc'])}: {each['msg']}"
        for each in error.errors(include_url=False)
    )


def owner_reference(service: EmbeddingService) -> Manifest:
    """The reference that makes the garbage collector delete a child with its resource."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": service.key.name,
        "uid": service.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
