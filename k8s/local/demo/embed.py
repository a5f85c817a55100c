"""Step 4: real photographs become vectors."""

import math

from demo.play import Play
from demo.stage import USER, StepFailedError
from embedding_contract.endpoints import EMBED_PATH, MODELS_PATH
from load.photographs import Photograph, photographs


def embed_photographs(play: Play) -> None:
    """Send all shipped photographs in one request and show the vectors."""
    files, url = photographs(), play.service.url()
    with play.stage.step("Embed real photographs"):
        parts = [("files", (each.name, each.data, each.media_type)) for each in files]
        answer = play.service.http.post(url + EMBED_PATH, files=parts)
        if answer.status_code != 200:
            raise StepFailedError(f"POST {EMBED_PATH}: {answer.status_code} {answer.text[:300]}")
        vectors: dict[str, list[float]] = answer.json()["embeddings"]
        play.stage.done(f"{len(files)} files sent to {url}{EMBED_PATH} in one request")
        play.stage.yourself(f"{USER} run curl -F files=@photo.jpg {url}{EMBED_PATH}")
        rows = [row(each, vectors[each.name]) for each in files if each.name in vectors]
        play.stage.table(("file", "pixels", "dims", "vector"), rows)
        warn_of_meaning(play, url)
        play.targets.exactly("photographs embedded", "photographs", len(rows), len(files))
        lengths = [math.dist(vector, [0.0] * len(vector)) for vector in vectors.values()]
        worst = max((abs(length - 1) for length in lengths), default=math.nan)
        play.targets.most("length of a vector, off from 1", "ratio", worst, 0.001)
        different = len({tuple(vector) for vector in vectors.values()})
        play.targets.exactly("different vectors", "vectors", different, len(files))


def row(file: Photograph, vector: list[float]) -> tuple[str, str, str, str]:
    """One line of the table."""
    first = ", ".join(f"{value:+.4f}" for value in vector[:4])
    return file.name, f"{file.width} x {file.height}", str(len(vector)), f"[{first}, ...]"


def warn_of_meaning(play: Play, url: str) -> None:
    """Say what the server says of its weights: random ones give vectors without a meaning."""
    models = play.service.http.get(url + MODELS_PATH).json()["data"]
    if not all(model.get("meaningful", True) for model in models):
        play.stage.seen(
            "the weights are random (pretrained: random:0, the server says so itself): the path "
            "is real, the vectors mean nothing. Name an open_clip model for ones that do."
        )
