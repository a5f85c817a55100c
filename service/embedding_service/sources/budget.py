"""How many bytes one request may make the server hold: of each image, and of all together."""

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageRejected


class Budget:
    """Counts the bytes that are fetched for one request. It is used on the event loop only."""

    def __init__(self, max_image_bytes: int, max_request_bytes: int) -> None:
        self._max_image_bytes = max_image_bytes
        self._max_request_bytes = max_request_bytes
        self._left = max_request_bytes

    def collect(self) -> "Collected":
        """Start to collect one image."""
        return Collected(self)

    def check_size(self, size: int) -> None:
        """Refuse a size that a source announces.

        Raises:
            ImageRejected: too_large.
        """
        if size > self._max_image_bytes:
            message = f"the image has {size} bytes, the limit is {self._max_image_bytes}"
            raise ImageRejected(ImageErrorCode.TOO_LARGE, message)
        if size > self._left:
            raise self._spent()

    def take(self, count: int, size: int) -> None:
        """Take `count` more bytes for an image that has `size` bytes by now.

        Raises:
            ImageRejected: too_large.
        """
        if size > self._max_image_bytes:
            message = f"the image has more than {self._max_image_bytes} bytes, which is the limit"
            raise ImageRejected(ImageErrorCode.TOO_LARGE, message)
        if count > self._left:
            raise self._spent()
        self._left -= count

    def give_back(self, count: int) -> None:
        """Return the bytes of an image that is not kept."""
        self._left += count

    def _spent(self) -> ImageRejected:
        message = (
            f"the fetched images of this request have more than {self._max_request_bytes} bytes "
            f"together, which is the limit: send fewer at a time"
        )
        return ImageRejected(ImageErrorCode.TOO_LARGE, message)


class Collected:
    """One image while it comes in; when it fails it is let go and its bytes are given back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._data = bytearray()

    def add(self, piece: bytes | memoryview) -> None:
        """Keep one more piece.

        Raises:
            ImageRejected: too_large; the piece is not kept.
        """
        self._budget.take(len(piece), len(self._data) + len(piece))
        self._data += piece

    def bytes(self) -> bytes:
        """Return the whole image."""
        return bytes(self._data)

    def drop(self) -> None:
        """Let everything go."""
        self._budget.give_back(len(self._data))
        self._data = bytearray()
