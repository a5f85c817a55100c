"""What is loaded: the facts about the model that answers and logs repeat."""

from dataclasses import dataclass

from embedding_service.engine.parity import Parity


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The loaded model.

    `precision` is resolved (never auto), `device` is cpu or cuda, `image_size` is (height, width)
    in pixels, `meaningful` is False for seeded random weights: such vectors mean nothing.
    `precision_reason` says why it is this precision; `parity` is what the self-test found, None
    where it is off.
    """

    name: str
    pretrained: str
    precision: str
    device: str
    dimensions: int
    image_size: tuple[int, int]
    context_length: int
    meaningful: bool
    max_batch: int
    precision_reason: str = ""
    parity: Parity | None = None
