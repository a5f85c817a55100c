"""The server's environment. The live knobs are not in it: they travel in the tuning file."""

from embedding_contract.endpoints import (
    API_KEYS_DIRECTORY,
    API_KEYS_FILE,
    IMAGE_FOLDER,
    PORT,
    TUNING_DIRECTORY,
    Environment,
    TracingEnvironment,
)
from embedding_operator.api.quantity import cores_text
from embedding_operator.api.service import Manifest
from embedding_operator.api.spec import ImagesSpec, LimitsSpec, TracingSpec
from embedding_operator.render.blueprint import Blueprint

SCRATCH = "/tmp"  # noqa: S108 - a volume of the pod, the only place where it may write


def environment(plan: Blueprint) -> list[Manifest]:
    """Render the list of variables."""
    spec = plan.spec
    variables = {
        Environment.MODEL: spec.model.name,
        Environment.PRETRAINED: spec.model.pretrained,
        Environment.PRECISION: spec.model.precision,
        Environment.PREPROCESS: spec.model.preprocess,
        Environment.PARITY_CHECK: "on" if spec.model.parity_check else "off",
        Environment.DEVICE: "cuda" if plan.on_gpu else "cpu",
        Environment.PORT: str(PORT),
        Environment.TUNING_DIRECTORY: TUNING_DIRECTORY,
        Environment.MAX_BATCH: str(spec.max_batch),
        **_limits(spec.limits),
        Environment.SHARE_IDENTICAL: str(spec.reuse.share_identical).lower(),
        Environment.CACHE_BYTES: str(spec.reuse.cache_bytes),
        **_images(spec.images),
        # Weights from a hub are cached below the home folder.
        "HOME": SCRATCH,
        # The pod's user number has no name in most images, and torch asks for one.
        "USER": "sluice",
    }
    if spec.images.volume is not None:
        variables[Environment.IMAGE_FOLDER] = IMAGE_FOLDER
    if spec.api_keys is not None:
        variables[Environment.API_KEYS_FILE] = f"{API_KEYS_DIRECTORY}/{API_KEYS_FILE}"
    if spec.tracing is not None:
        variables |= _tracing(spec.tracing, plan.key.name)
    if "cpu" in spec.resources.limits:
        variables[Environment.CPU_LIMIT] = cores_text(spec.resources.limits["cpu"])
    pod_name = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
    plain = [{"name": name, "value": value} for name, value in variables.items()]
    return [{"name": Environment.POD_NAME, "valueFrom": pod_name}, *plain]


def environment_from(plan: Blueprint) -> list[Manifest]:
    """Render where more variables come from; those of `environment` win over them."""
    secret = plan.spec.images.credentials_secret
    return [] if secret is None else [{"secretRef": {"name": secret.name}}]


def _tracing(tracing: TracingSpec, service: str) -> dict[str, str]:
    return {
        TracingEnvironment.ENDPOINT: tracing.endpoint,
        TracingEnvironment.SERVICE_NAME: service,
        TracingEnvironment.SAMPLER: "parentbased_traceidratio",
        TracingEnvironment.SAMPLER_ARG: f"{tracing.sampling_ratio:g}",
    }


def _limits(limits: LimitsSpec) -> dict[str, str]:
    return {
        Environment.QUEUE_SIZE: str(limits.queue_size),
        Environment.QUEUE_TIMEOUT_SECONDS: f"{limits.queue_timeout_seconds:g}",
        Environment.ADMIT_BY: limits.admit_by,
        Environment.LIVE_ITEMS: str(limits.live_items),
        Environment.DEADLINE_SECONDS: f"{limits.deadline_seconds:g}",
        Environment.MAX_REQUEST_BYTES: str(limits.max_request_bytes),
        Environment.MAX_IMAGE_BYTES: str(limits.max_image_bytes),
        Environment.MAX_IMAGE_PIXELS: str(limits.max_image_pixels),
        Environment.MAX_IMAGES_PER_REQUEST: str(limits.max_images_per_request),
        Environment.DRAIN_SECONDS: f"{limits.drain_seconds:g}",
    }


def _images(images: ImagesSpec) -> dict[str, str]:
    lists = {
        Environment.FETCH_HOSTS: ",".join(images.fetch_hosts),
        Environment.FETCH_NETWORKS: ",".join(images.fetch_networks),
        Environment.OBJECT_PREFIXES: ",".join(images.object_prefixes),
    }
    return {
        Environment.FETCH_URLS: images.fetch_urls,
        Environment.FETCH_TIMEOUT_SECONDS: f"{images.fetch_timeout_seconds:g}",
        Environment.FETCH_REDIRECTS: str(images.fetch_redirects),
        Environment.FETCH_CONCURRENCY: str(images.fetch_concurrency),
        Environment.MAX_FETCH_BYTES: str(images.max_fetch_bytes),
        **{name: text for name, text in lists.items() if text},
    }
