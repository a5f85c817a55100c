"""The shapes of answers, as JSON Schema for the OpenAPI document. Pure."""

from typing import Any, Final

from embedding_contract import tuning
from embedding_contract.bottleneck import REMEDIES
from embedding_contract.endpoints import ImageErrorCode

Schema = dict[str, Any]

IMAGE_ERROR_CODES: Final = sorted(
    value for name, value in vars(ImageErrorCode).items() if name.isupper()
)


def _object(description: str, **properties: Schema) -> Schema:
    """Every field is there; more may come in later versions."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }


def _of(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _count(description: str, minimum: int = 0) -> Schema:
    return {"type": "integer", "minimum": minimum, "description": description}


def _number(description: str) -> Schema:
    return {"type": "number", "minimum": 0, "description": description}


def _numbers(description: str) -> Schema:
    numbers = {"type": "number", "minimum": 0}
    return {"type": "object", "additionalProperties": numbers, "description": description}


_VECTOR: Final[Schema] = {
    "description": "Unit length: numbers, or base64 of little-endian float32",
    "anyOf": [
        {"type": "array", "items": {"type": "number"}, "minItems": 1},
        {"type": "string", "contentEncoding": "base64", "minLength": 1},
    ],
}


def _whole(low: int, high: int, description: str) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, "description": description}


SCHEMAS: Final[dict[str, Schema]] = {
    "Error": _object(
        "Every answer that is not the one that was hoped for, in OpenAI's shape",
        error=_object(
            "What is wrong",
            message=_text("For people: what is wrong and what to do"),
            type={
                "type": "string",
                "enum": ["invalid_request_error", "rate_limit_error", "server_error"],
            },
            param={"type": ["string", "null"], "description": "Where, as input[3]"},
            code=_text("For programs: a stable word"),
        ),
    ),
    "ImageError": _object(
        "Why one image failed alone",
        code={"type": "string", "enum": IMAGE_ERROR_CODES},
        message=_text("For people"),
    ),
    "EmbeddingList": _object(
        "One vector for each item of input, in its order",
        object={"const": "list"},
        data={
            "type": "array",
            "minItems": 1,
            "items": _object(
                "One vector",
                object={"const": "embedding"},
                index=_count("Place in input"),
                embedding=_VECTOR,
            ),
        },
        model=_text("Name of the model"),
        usage=_object(
            "As computed: every text is padded to the model's context length",
            prompt_tokens=_count("Tokens of all texts"),
            total_tokens=_count("The same"),
            num_texts=_count("Texts"),
            num_images=_count("Images"),
        ),
    ),
    "NamedEmbeddings": _object(
        "Vectors and errors by file name; every image is in one of the two",
        embeddings={"type": "object", "additionalProperties": _VECTOR},
        errors={"type": "object", "additionalProperties": _of("ImageError")},
    ),
    "Model": _object(
        "The loaded model",
        id=_text("Its name"),
        object={"const": "model"},
        created=_count("Start of the server, seconds since the epoch"),
        owned_by=_text("Always sluice"),
        pretrained=_text("Its weights"),
        precision=_text("Number format of the forward pass"),
        precision_reason=_text("Why it is this one"),
        device=_text("Where it runs: cpu or cuda"),
        dimensions=_count("Numbers in a vector", 1),
        image_size={
            "type": "array", "items": _count("Pixels", 1), "minItems": 2, "maxItems": 2,
            "description": "Width and height of what the model sees",
        },
        context_length=_count("Tokens of a text at most", 1),
        max_batch=_count("Images in one forward pass at most", 1),
        meaningful={"type": "boolean", "description": "False for random weights"},
        parity={
            "anyOf": [_of("Parity"), {"type": "null"}],
            "description": "What the self-test at start-up found; null where it is off",
        },
    ),
    "Parity": _object(
        "The worst figures of the golden images and texts",
        cosine_min={"type": "number", "description": "Cosine with open_clip's own fp32 path"},
        cosine_of=_text("Whose it is"),
        pixel_difference_max={"type": "number", "description": "Mean difference, of 255"},
        pixel_difference_of=_text("Whose it is"),
    ),
    "ModelList": _object(
        "OpenAI's list of models",
        object={"const": "list"},
        data={"type": "array", "items": _of("Model"), "minItems": 1, "maxItems": 1},
    ),
    "Setting": _object(
        "The live knobs",
        numStreams=_whole(tuning.MIN_STREAMS, tuning.MAX_STREAMS, "Lanes"),
        semaphoreSize=_whole(tuning.MIN_SEMAPHORE, tuning.MAX_SEMAPHORE, "Requests in flight"),
        decodeWorkers=_whole(tuning.MIN_DECODE_WORKERS, tuning.MAX_DECODE_WORKERS, "Threads"),
        decodeDevice={"type": "string", "enum": list(tuning.DECODE_DEVICES)},
    ),
    "TuningReport": _object(
        "What one pod runs",
        pod=_text("Name of the pod"),
        generation={"type": ["integer", "null"], "description": "null until a file was applied"},
        setting=_of("Setting"),
        requested=_of("Setting"),
        since={"type": "number", "description": "Seconds since the epoch"},
        rejected={"type": ["string", "null"], "description": "Why the last file was refused"},
        suggested={
            "anyOf": [_of("Setting"), {"type": "null"}],
            "description": "The setting that follows from the warm-up",
        },
        warmup={
            "anyOf": [_of("WarmUp"), {"type": "null"}],
            "description": "What was measured before the first request",
        },
        activity={
            "anyOf": [_of("Activity"), {"type": "null"}],
            "description": "The last 30 seconds; null while there are less than 2",
        },
    ),
    "WarmUp": _object(
        "Measured before the first request",
        lane_seconds=_numbers("Lane seconds of one batch, by its images"),
        decode_seconds=_number("One full-HD JPEG on one thread"),
        lane_bytes=_number("Device memory that one lane adds"),
        permit_bytes=_number("Host memory that one permit adds"),
    ),
    "Activity": _object(
        "What one pod did, and what limited it",
        seconds=_number("Length of the window"),
        requests_per_second=_number("Answered requests"),
        images_per_second=_number("Images and texts"),
        rejected=_number("Share of the requests that were refused or too late"),
        in_flight=_number("Requests inside, mean"),
        waiting=_number("Requests that waited for a permit, mean"),
        shares={
            "type": "object", "additionalProperties": {"type": ["number", "null"]},
            "description": "Busy time over what there is; null where there is no such resource",
        },
        parts=_numbers("Where the time of one image goes, 1 together; empty without images"),
        bottleneck={"type": "string", "enum": sorted(REMEDIES)},
        message=_text("One sentence with its numbers"),
        remedy=_text("What helps"),
    ),
    "Status": _object("One word, or what is wrong", status=_text("alive, ready, or why not")),
}  # fmt: skip
