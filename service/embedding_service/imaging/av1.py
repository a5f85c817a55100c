"""The largest frame that an AV1 stream may hold, from its sequence headers (AV1, 5.5)."""

from embedding_service.imaging.damaged import MAX_PARTS, Damaged, too_many

_SEQUENCE_HEADER = 1


class _Bits:
    """Reads big-endian bits."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        """Return the next `count` bits as a number.

        Raises:
            Damaged: there are not so many.
        """
        self._left -= count
        if self._left < 0:
            raise Damaged("the AV1 sequence header ends too early")
        return (self._value >> self._left) & ((1 << count) - 1)

    def variable(self) -> None:
        """Skip a number of variable length (uvlc)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        self.take(zeros)


def largest_frame(stream: bytes) -> tuple[int, int]:
    """Return (width, height) of the largest frame of a stream, (0, 0) where it does not say.

    A decoder allocates for it, whatever the file around the stream claims.

    Raises:
        Damaged: too many units, or a sequence header that makes no sense.
        IndexError: it ends too early.
    """
    position, largest = 0, (0, 0)
    for _ in range(MAX_PARTS):
        if position >= len(stream):
            return largest
        head = stream[position]
        position += 2 if head & 4 else 1
        size = len(stream) - position
        if head & 2:
            size, position = _length(stream, position)
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            found = _frame_of(_Bits(stream[position : position + min(size, 1024)]))
            largest = max(largest, found, key=lambda frame: frame[0] * frame[1])
        position += size
    raise too_many()


def _length(stream: bytes, position: int) -> tuple[int, int]:
    """Return a number of base 128 (leb128), and where it ends."""
    value = 0
    for shift in range(0, 56, 7):
        byte = stream[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise Damaged("a length in the AV1 stream makes no sense")


def _frame_of(bits: _Bits) -> tuple[int, int]:
    bits.take(4)  # profile, still picture
    reduced = bits.take(1)
    if reduced:
        bits.take(5)
    else:
        _skip_operation(bits)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(across) + 1, bits.take(down) + 1
    # With a full header each frame may state a size of its own, of as many bits.
    return (width, height) if reduced else (1 << across, 1 << down)


def _skip_operation(bits: _Bits) -> None:
    """Skip timing, decoder model and operating points."""
    delay_bits = 0
    has_model = 0
    if bits.take(1):
        bits.take(64)
        if bits.take(1):
            bits.variable()
        has_model = bits.take(1)
        if has_model:
            delay_bits = bits.take(5) + 1
            bits.take(42)
    has_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if has_model and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if has_delay and bits.take(1):
            bits.take(4)
