"""The pod's volumes and where they are mounted."""

from typing import Final

from embedding_contract.endpoints import (
    API_KEYS_DIRECTORY,
    API_KEYS_FILE,
    IMAGE_FOLDER,
    TUNING_DIRECTORY,
)
from embedding_operator.api import names
from embedding_operator.api.service import Manifest
from embedding_operator.api.spec import ApiKeysSpec
from embedding_operator.render.blueprint import Blueprint
from embedding_operator.render.environment import SCRATCH

MODEL_FOLDER: Final = "/var/lib/embedding/models"


def volumes_and_mounts(plan: Blueprint) -> tuple[list[Manifest], list[Manifest]]:
    """Both lists, in one order."""
    pairs = [_tuning(plan), _scratch()]
    if plan.on_gpu:
        pairs.append(_shared_memory())
    if plan.spec.model.volume is not None:
        pairs.append(_read_only("models", plan.spec.model.volume, MODEL_FOLDER))
    if plan.spec.images.volume is not None:
        pairs.append(_read_only("images", plan.spec.images.volume, IMAGE_FOLDER))
    if plan.spec.api_keys is not None:
        pairs.append(_api_keys(plan.spec.api_keys))
    return [volume for volume, _ in pairs], [mount for _, mount in pairs]


def _tuning(plan: Blueprint) -> tuple[Manifest, Manifest]:
    """Mounted as a folder: a file mounted by subPath would never change."""
    name = names.tuning_config_map_name(plan.key.name, plan.pool)
    volume = {"name": "tuning", "configMap": {"name": name}}
    return volume, {"name": "tuning", "mountPath": TUNING_DIRECTORY, "readOnly": True}


def _scratch() -> tuple[Manifest, Manifest]:
    return {"name": "scratch", "emptyDir": {}}, {"name": "scratch", "mountPath": SCRATCH}


def _shared_memory() -> tuple[Manifest, Manifest]:
    """GPU libraries share buffers through /dev/shm; a container's own is 64 MiB."""
    volume = {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
    return volume, {"name": "shared-memory", "mountPath": "/dev/shm"}  # noqa: S108


def _api_keys(keys: ApiKeysSpec) -> tuple[Manifest, Manifest]:
    """Mounted as a folder too, so that a renewed Secret reaches a running pod."""
    items = [{"key": keys.key, "path": API_KEYS_FILE}]
    return _read_only(
        "api-keys", {"secret": {"secretName": keys.secret_name, "items": items}}, API_KEYS_DIRECTORY
    )


def _read_only(name: str, source: Manifest, path: str) -> tuple[Manifest, Manifest]:
    return {"name": name, **source}, {"name": name, "mountPath": path, "readOnly": True}
