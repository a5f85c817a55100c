"""What a user writes: the spec of EmbeddingService. Pure.

Units are in the names. Each text below a field is shown by `kubectl explain`.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, WithJsonSchema, model_validator

from embedding_contract.tuning import (
    MAX_DECODE_WORKERS,
    MAX_SEMAPHORE,
    MAX_STREAMS,
    DecodeDevice,
    Setting,
)
from embedding_operator.api import rules
from embedding_operator.api.base import ApiModel
from embedding_operator.api.quantity import Quantity
from embedding_operator.api.tuning import TuningPolicy

MEBIBYTE: Final = 1024 * 1024

RawVolume = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""A volume source exactly as in a Pod (hostPath, persistentVolumeClaim, nfs, csi, image, ...)."""


class ModelSpec(ApiModel):
    """Which model turns images and text into vectors."""

    name: str = Field(min_length=1, max_length=128)
    """A model name of open_clip, for example ViT-B-32. sluice-tiny is a small one for tests."""
    pretrained: str = Field(min_length=1, max_length=512)
    """The weights: a tag of open_clip, a path in the pod (see volume), or random:SEED for seeded
    random weights, whose vectors mean nothing."""
    precision: Literal["auto", "fp32", "tf32", "fp16", "bf16"] = "auto"
    """Number format of the forward pass. auto takes what the device does best; on a CPU bf16 where
    the CPU has the instructions, it is measured as faster and parity holds, else fp32."""
    preprocess: Literal["model", "origin"] = "model"
    """How images are resized. model is as the model was trained; origin squashes them."""
    parity_check: bool = True
    """Self-test of each pod at its start: golden images must get the vectors of open_clip's own
    fp32 path, or the pod does not start and says why. false saves a second or two."""
    volume: RawVolume | None = None
    """Volume with local checkpoints, mounted read-only at /var/lib/embedding/models."""


class GpuSpec(ApiModel):
    """The GPU that each pod asks for."""

    count: int = Field(default=1, ge=0, le=16)
    """GPUs of one pod. 0 runs on the CPU."""
    resource_name: str = Field(
        default="nvidia.com/gpu", max_length=253, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$"
    )
    """The extended resource: nvidia.com/gpu, nvidia.com/gpu.shared, nvidia.com/mig-1g.10gb, ..."""


class ResourcesSpec(ApiModel):
    """What the server's container asks for and may use, without its GPU."""

    requests: dict[str, Quantity] = Field(default_factory=dict, max_length=16)
    """Guaranteed amounts, for example cpu: 4, memory: 8Gi."""
    limits: dict[str, Quantity] = Field(default_factory=dict, max_length=16)
    """Most amounts. The CPU limit also sizes the decode pool; without it all cores count."""


class LocalReference(ApiModel):
    """Names an object in the same namespace."""

    name: str = Field(min_length=1, max_length=253)
    """Name of the object."""


class Toleration(ApiModel):
    """A taint that the pods accept, as in a Pod."""

    key: str | None = Field(default=None, max_length=316)
    """Taint key; absent with operator Exists means every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How value is compared."""
    value: str | None = Field(default=None, max_length=63)
    """Taint value, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; absent means every effect."""
    toleration_seconds: int | None = None
    """Seconds that a NoExecute taint is accepted; absent means for ever."""


class ImageFolderSpec(ApiModel):
    """A folder of images that requests may name instead of sending the bytes."""

    volume: RawVolume | None = None
    """Volume with the images, mounted read-only at /var/lib/embedding/images."""


class LimitsSpec(ApiModel):
    """What the server refuses, so that no request can take it down."""

    queue_size: int = Field(default=64, ge=0, le=65536)
    """Requests that may wait for a permit; the next one is answered 429."""
    queue_timeout_seconds: float = Field(default=30, ge=0, le=3600)
    """Longest wait for a permit in seconds; then 429."""
    max_request_bytes: int = Field(default=64 * MEBIBYTE, ge=1024, le=2**40)
    """Bytes of one request's body."""
    max_image_bytes: int = Field(default=32 * MEBIBYTE, ge=1, le=2**40)
    """Bytes of one encoded image."""
    max_image_pixels: int = Field(default=100_000_000, ge=1, le=2**31 - 1)
    """Pixels of one image, read from its header before it is decoded."""
    max_images_per_request: int = Field(default=256, ge=1, le=65536)
    """Images and texts in one request."""
    drain_seconds: float = Field(default=30, ge=0, le=3600)
    """Seconds that a stopping pod has to finish what it admitted."""


class ServiceSpec(ApiModel):
    """The Kubernetes Service in front of all pods."""

    port: int = Field(default=80, ge=1, le=65535)
    """Port of the Service."""
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service."""


class EmbeddingServiceSpec(ApiModel):
    """One image-embedding service."""

    model_config = ConfigDict(json_schema_extra=rules.for_spec())

    model: ModelSpec
    """Which model turns images and text into vectors."""
    image: str | None = Field(default=None, min_length=1, max_length=512)
    """Image of the server. Absent: the operator's default at the time when the resource was
    created, kept in status.image, so that a new operator does not restart anything."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the node pulls the image."""
    image_pull_secrets: list[LocalReference] = Field(
        default_factory=list, max_length=16, json_schema_extra=rules.list_map("name")
    )
    """Secrets with which the image is pulled."""

    num_streams: int = Field(default=1, ge=1, le=MAX_STREAMS)
    """Lanes (CUDA streams) that compute at the same time. Changes in a running pod. The tuner
    starts from here."""
    semaphore_size: int = Field(default=4, ge=1, le=MAX_SEMAPHORE)
    """Requests in flight; others wait. Changes in a running pod. The tuner starts from here."""
    decode_workers: int = Field(default=0, ge=0, le=MAX_DECODE_WORKERS)
    """Threads that decode images; 0 sizes the pool from the CPU limit. Changes in a running pod."""
    decode_device: DecodeDevice = "auto"
    """Where JPEGs are decoded. auto takes what the warm-up measured as faster. Changes in a
    running pod."""
    max_batch: int = Field(default=32, ge=1, le=1024)
    """Images in one forward pass. A change restarts the pods one by one."""

    replicas: int = Field(default=1, ge=0, le=1000)
    """Pods. Also set by `kubectl scale`."""
    gpu: GpuSpec = GpuSpec()
    """The GPU that each pod asks for."""
    resources: ResourcesSpec = ResourcesSpec()
    """What the server's container asks for and may use, without its GPU."""
    node_selector: dict[str, str] = Field(default_factory=dict, max_length=32)
    """Labels of the nodes on which the pods may run."""
    tolerations: list[Toleration] = Field(
        default_factory=list, max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Taints that the pods accept, in addition to the GPU's own."""
    images: ImageFolderSpec = ImageFolderSpec()
    """A folder of images that requests may name instead of sending the bytes."""
    limits: LimitsSpec = LimitsSpec()
    """What the server refuses, so that no request can take it down."""
    service: ServiceSpec = ServiceSpec()
    """The Kubernetes Service in front of all pods."""
    tuning: TuningPolicy = TuningPolicy()
    """How far the tuner may go for this service."""

    @property
    def setting(self) -> Setting:
        """The live knobs that the user wrote."""
        return Setting(
            self.num_streams, self.semaphore_size, self.decode_workers, self.decode_device
        )

    @model_validator(mode="after")
    def _inside_bounds(self) -> Self:
        bounds = self.tuning.bounds
        if not bounds.num_streams.holds(self.num_streams):
            raise ValueError(rules.STREAMS_OUTSIDE)
        if not bounds.semaphore_size.holds(self.semaphore_size):
            raise ValueError(rules.SEMAPHORE_OUTSIDE)
        if self.decode_workers and not bounds.decode_workers.holds(self.decode_workers):
            raise ValueError(rules.WORKERS_OUTSIDE)
        if self.gpu.count == 0 and self.decode_device == "gpu":
            raise ValueError(rules.NO_GPU_TO_DECODE)
        return self
