"""Real photographs that ship inside Python packages, so that nothing has to be downloaded.

The sizes are stated because they decide what a load costs: pixels drive decoding, not bytes.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SHIPPED = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ("skimage", "data/rocket.jpg"),
    ("skimage", "data/hubble_deep_field.jpg"),
    ("skimage", "data/retina.jpg"),
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
)
"""Package and path. The PNG files come last: a load of JPEG files takes the first six."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """One image file: `data` is the file's bytes, `width` and `height` are pixels."""

    name: str
    data: bytes
    width: int
    height: int

    @property
    def media_type(self) -> str:
        """The Content-Type of the file."""
        return "image/png" if self.name.endswith(".png") else "image/jpeg"

    def __str__(self) -> str:
        return f"{self.name} ({self.width}x{self.height}, {len(self.data) // 1024} KiB)"


class PhotographMissingError(RuntimeError):
    """A package that ships photographs is not installed, or no longer ships this one."""


def photographs(count: int = len(SHIPPED)) -> tuple[Photograph, ...]:
    """Return the first `count` photographs.

    Raises:
        PhotographMissingError: a photograph is not where its package used to have it.
    """
    return tuple(_read(package, path) for package, path in SHIPPED[:count])


def _read(package: str, relative: str) -> Photograph:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise PhotographMissingError(f"{package} is not installed; run: make setup")
    path = Path(spec.origin).parent / relative
    if not path.is_file():
        raise PhotographMissingError(f"{package} does not ship {relative}")
    data = path.read_bytes()
    width, height = _size(path)
    return Photograph(path.name, data, width, height)


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        return image.size
