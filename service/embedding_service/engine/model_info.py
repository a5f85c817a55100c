"""What is loaded: the facts about the model that answers and logs repeat."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The loaded model.

    `precision` is resolved (never auto), `device` is cpu or cuda, `image_size` is (height, width)
    in pixels, `meaningful` is False for seeded random weights: such vectors mean nothing.
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
