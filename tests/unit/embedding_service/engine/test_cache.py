"""The cache keeps what was used last, within its bytes."""

import hashlib
from collections import OrderedDict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedding_service.engine.cache import ENTRY_BYTES, VectorCache

WIDTH = 8
ENTRY = WIDTH * 4 + ENTRY_BYTES


def key(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()


def vector(number: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(WIDTH, number, np.float32)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=100), st.integers(0, 6))
def test_it_is_an_lru_within_its_bytes(steps: list[tuple[bool, int]], room: int) -> None:
    looks: list[bool] = []
    cache = VectorCache(room * ENTRY + ENTRY // 2, looks.append)
    model: OrderedDict[int, None] = OrderedDict()
    for put, number in steps:
        if put:
            cache.put(key(number), vector(number))
            model.pop(number, None)
            model[number] = None
            while len(model) > room:
                model.popitem(last=False)
        else:
            found = cache.get(key(number))
            assert (found is not None) == (number in model) == looks[-1]
            if found is not None:
                assert found[0] == number
                model.move_to_end(number)
        assert cache.bytes_held == len(cache) * ENTRY == len(model) * ENTRY


def test_it_keeps_a_copy_not_a_view_of_a_whole_batch() -> None:
    cache = VectorCache(ENTRY)
    batch = np.ones((32, WIDTH), np.float32)
    cache.put(key(1), batch[3])
    batch[:] = 0
    found = cache.get(key(1))
    assert found is not None
    assert found.base is None
    assert found.sum() == WIDTH
