"""Addresses, paths, labels and environment names that both sides use."""

PORT = 8000
"""TCP port on which the server listens in its pod."""

PORT_NAME = "http"

EMBED_PATH = "/embed"
OPENAI_PATH = "/v1/embeddings"
MODELS_PATH = "/v1/models"
TUNING_PATH = "/v1/tuning"
LIVE_PATH = "/livez"
READY_PATH = "/readyz"
METRICS_PATH = "/metrics"

PRIORITY_HEADER = "X-Priority"
"""A request's class: live (somebody waits) or bulk (an album). Absent: its size decides."""

DEADLINE_HEADER = "X-Deadline-Seconds"
"""Seconds that the client still waits for the answer, from now on; a number."""

TUNING_DIRECTORY = "/etc/embedding/tuning"
"""Where the tuning ConfigMap is mounted, as a directory: a subPath mount would never update."""

TUNING_FILE = "tuning.json"
"""Key in the ConfigMap, and file name below TUNING_DIRECTORY."""

IMAGE_FOLDER = "/var/lib/embedding/images"
"""Where the optional local image folder is mounted."""

API_KEYS_DIRECTORY = "/etc/embedding/api-keys"
"""Where the optional Secret of API keys is mounted, as a directory: so it can be renewed."""

API_KEYS_FILE = "keys"
"""File name below API_KEYS_DIRECTORY."""

NUDGE_ANNOTATION = "sluice.dev/tuning-generation"
"""A change of this pod annotation makes the kubelet refresh the mounted ConfigMap at once."""


class Environment:
    """Names of the variables that the operator sets and the server reads.

    An empty value counts as not set.
    """

    MODEL = "EMBEDDING_MODEL"
    PRETRAINED = "EMBEDDING_PRETRAINED"
    PRECISION = "EMBEDDING_PRECISION"
    PREPROCESS = "EMBEDDING_PREPROCESS"
    PARITY_CHECK = "EMBEDDING_PARITY_CHECK"
    DEVICE = "EMBEDDING_DEVICE"
    POD_NAME = "EMBEDDING_POD_NAME"
    TUNING_DIRECTORY = "EMBEDDING_TUNING_DIRECTORY"
    IMAGE_FOLDER = "EMBEDDING_IMAGE_FOLDER"
    FETCH_URLS = "EMBEDDING_FETCH_URLS"
    FETCH_HOSTS = "EMBEDDING_FETCH_HOSTS"
    FETCH_NETWORKS = "EMBEDDING_FETCH_NETWORKS"
    FETCH_TIMEOUT_SECONDS = "EMBEDDING_FETCH_TIMEOUT_SECONDS"
    FETCH_REDIRECTS = "EMBEDDING_FETCH_REDIRECTS"
    FETCH_CONCURRENCY = "EMBEDDING_FETCH_CONCURRENCY"
    MAX_FETCH_BYTES = "EMBEDDING_MAX_FETCH_BYTES"
    OBJECT_PREFIXES = "EMBEDDING_OBJECT_PREFIXES"
    API_KEYS_FILE = "EMBEDDING_API_KEYS_FILE"
    HOST = "EMBEDDING_HOST"
    PORT = "EMBEDDING_PORT"
    NUM_STREAMS = "EMBEDDING_NUM_STREAMS"
    SEMAPHORE_SIZE = "EMBEDDING_SEMAPHORE_SIZE"
    DECODE_WORKERS = "EMBEDDING_DECODE_WORKERS"
    DECODE_DEVICE = "EMBEDDING_DECODE_DEVICE"
    MAX_BATCH = "EMBEDDING_MAX_BATCH"
    QUEUE_SIZE = "EMBEDDING_QUEUE_SIZE"
    QUEUE_TIMEOUT_SECONDS = "EMBEDDING_QUEUE_TIMEOUT_SECONDS"
    ADMIT_BY = "EMBEDDING_ADMIT_BY"
    LIVE_ITEMS = "EMBEDDING_LIVE_ITEMS"
    DEADLINE_SECONDS = "EMBEDDING_DEADLINE_SECONDS"
    SHARE_IDENTICAL = "EMBEDDING_SHARE_IDENTICAL"
    CACHE_BYTES = "EMBEDDING_CACHE_BYTES"
    MAX_REQUEST_BYTES = "EMBEDDING_MAX_REQUEST_BYTES"
    MAX_IMAGE_BYTES = "EMBEDDING_MAX_IMAGE_BYTES"
    MAX_IMAGE_PIXELS = "EMBEDDING_MAX_IMAGE_PIXELS"
    MAX_IMAGES_PER_REQUEST = "EMBEDDING_MAX_IMAGES_PER_REQUEST"
    DRAIN_SECONDS = "EMBEDDING_DRAIN_SECONDS"
    CPU_LIMIT = "EMBEDDING_CPU_LIMIT"
    """The container's CPU limit in cores, from the downward API; 0 or absent means no limit."""


class TracingEnvironment:
    """Standard variables of OpenTelemetry that the server looks at or the operator sets."""

    ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
    TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
    TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    EXPORTER = "OTEL_TRACES_EXPORTER"
    DISABLED = "OTEL_SDK_DISABLED"
    SERVICE_NAME = "OTEL_SERVICE_NAME"
    SAMPLER = "OTEL_TRACES_SAMPLER"
    SAMPLER_ARG = "OTEL_TRACES_SAMPLER_ARG"


class ImageErrorCode:
    """Why one image failed alone. These strings are API."""

    NOT_AN_IMAGE = "not_an_image"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    UNSUPPORTED_FORMAT = "unsupported_format"
    NOT_FOUND = "not_found"
    FORBIDDEN_SOURCE = "forbidden_source"
    TIMEOUT = "timeout"
    UPSTREAM_ERROR = "upstream_error"


SEEDED_RANDOM_PREFIX = "random:"
"""`pretrained: random:7` builds the model with weights drawn from seed 7. Vectors mean nothing."""

TINY_MODEL = "sluice-tiny"
"""A small CLIP configuration that ships with the server, for tests and the demo."""
