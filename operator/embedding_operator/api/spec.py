"""What a user writes: the spec of EmbeddingService. Pure.

Units are in the names. Each text below a field is shown by `kubectl explain`.
"""

from ipaddress import ip_network
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, WithJsonSchema, field_validator, model_validator

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

HostName = Annotated[
    str, Field(max_length=253, pattern=r"^[a-zA-Z0-9_-]{1,63}(\.[a-zA-Z0-9_-]{1,63})*$")
]
NetworkText = Annotated[str, Field(max_length=64, pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]
ObjectPrefix = Annotated[
    str,
    Field(
        max_length=1024,
        pattern=r"^(s3|gs)://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^,\s]*)?$",
    ),
]


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


class ImagesSpec(ApiModel):
    """Where images may come from, beside those that a request carries itself."""

    volume: RawVolume | None = None
    """Volume with images that requests may name, mounted read-only at /var/lib/embedding/images."""
    fetch_urls: Literal["none", "public", "any"] = "public"
    """Which http and https URLs the server fetches: none; those of the public internet, ports 80
    and 443; or any, private addresses included, but never a cloud's metadata service."""
    fetch_hosts: list[HostName] = Field(default_factory=list, max_length=64)
    """Hosts from which URLs are fetched, with all names below them. Empty means every host."""
    fetch_networks: list[NetworkText] = Field(default_factory=list, max_length=64)
    """Networks, for example 10.1.0.0/16, that may be fetched from though they are not public."""
    object_prefixes: list[ObjectPrefix] = Field(default_factory=list, max_length=64)
    """What is read from object stores for every client that asks, with the server's own
    credentials: for example s3://albums/2024/ or gs://photos/. Empty means nothing."""
    credentials_secret: LocalReference | None = None
    """Secret in the same namespace whose keys become environment variables of the server, for
    object stores: AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT_KEY."""
    fetch_timeout_seconds: float = Field(default=10, ge=0.1, le=600)
    """Longest fetch of one image in seconds; all images of one request may take four times that."""
    fetch_redirects: int = Field(default=3, ge=0, le=10)
    """Redirects that are followed for one image; each is checked like the first URL."""
    fetch_concurrency: int = Field(default=64, ge=1, le=1024)
    """Fetches of one pod at the same time; one request may use a quarter of them."""
    max_fetch_bytes: int = Field(default=256 * MEBIBYTE, ge=1024, le=2**40)
    """Bytes that one request may make the server fetch, all its images together."""

    @field_validator("fetch_networks")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for text in networks:
            ip_network(text)
        return networks


class ApiKeysSpec(ApiModel):
    """Keys that clients must send as `Authorization: Bearer KEY`."""

    secret_name: str = Field(min_length=1, max_length=253)
    """A Secret in the same namespace. The operator does not read it. A change of its content
    reaches running pods without a restart; while it holds no key, everybody is refused."""
    key: str = Field(default="keys", min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._-]+$")
    """The entry of the Secret: one API key a line, # begins a comment."""


class TracingSpec(ApiModel):
    """Traces of requests, sent as OTLP over HTTP."""

    endpoint: str = Field(max_length=512, pattern=r"^https?://[^\s/]+")
    """Address of an OpenTelemetry collector, for example http://collector.tracing.svc:4318."""
    sampling_ratio: float = Field(default=1, ge=0, le=1)
    """Share of the requests that are traced. A request that is part of a trace already follows the
    decision of its caller."""


class LimitsSpec(ApiModel):
    """What the server refuses, so that no request can take it down."""

    queue_size: int = Field(default=64, ge=0, le=65536)
    """Requests that may wait for a permit; the next one is answered 429."""
    queue_timeout_seconds: float = Field(default=30, ge=0, le=3600)
    """Longest wait for a permit in seconds; then 429."""
    admit_by: Literal["requests", "images"] = "requests"
    """What semaphoreSize counts. requests: each takes one permit. images: a permit is room for 40
    images, and each image takes its part."""
    live_items: int = Field(default=4, ge=0, le=65536)
    """A request that names no class is live up to this many images and texts, else bulk."""
    deadline_seconds: float = Field(default=0, ge=0, le=3600)
    """Deadline of a request that names none, in seconds; later it is answered 504. 0 means none."""
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


class ReuseSpec(ApiModel):
    """Vectors that need not be computed again."""

    share_identical: bool = True
    """Whether the same image in several requests in flight is computed once."""
    cache_bytes: int = Field(default=0, ge=0, le=2**40)
    """Memory of each pod for vectors of images seen before; 0 means no cache. Every image is then
    hashed, about 0.5 ms of one core for each MiB."""


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
    images: ImagesSpec = ImagesSpec()
    """Where images may come from, beside those that a request carries itself."""
    api_keys: ApiKeysSpec | None = None
    """Keys that clients must send. Absent: the server asks for none."""
    tracing: TracingSpec | None = None
    """Traces of requests. Absent: nothing is traced."""
    limits: LimitsSpec = LimitsSpec()
    """What the server refuses, so that no request can take it down."""
    reuse: ReuseSpec = ReuseSpec()
    """Vectors that need not be computed again."""
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
