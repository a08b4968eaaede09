import numpy as np
import pytest

from poke.spaces import Entry, ObservationSpace


def _entry(rng, path):
    kind = rng.choice(["vector", "bytes", "whole", "picture", "choices", "switches"])
    shape = tuple(int(n) for n in rng.integers(1, 4, size=rng.integers(0, 3)))
    if kind == "vector":
        return Entry(path, "box", shape)
    if kind == "bytes":
        return Entry(path, "box", shape, "uint8", 0.0, 255.0)
    if kind == "whole":
        return Entry(path, "box", shape, "int32", -9.0, 9.0)
    if kind == "picture":
        height, width, channels = (int(rng.integers(*ends)) for ends in ((7, 12), (7, 12), (1, 4)))
        channels_last = (height, width, channels)
        shape = channels_last if rng.random() < 0.5 else (channels, height, width)
        if rng.random() < 0.3:
            shape = (2, *shape)
        if rng.random() < 0.5:
            return Entry(path, "box", shape, "uint8")
        return Entry(path, "box", shape, "float32", 0.0, 1.0)
    if kind == "switches":
        return Entry(path, "binary", shape)
    sizes = tuple(int(n) for n in rng.integers(1, 9, size=int(np.prod(shape))))
    return Entry(path, "discrete", shape, "int64", sizes=sizes, starts=(0,) * len(sizes))


def _value(rng, entry, batch):
    shape = (batch, *entry.shape)
    if entry.kind == "discrete":
        return rng.integers(0, np.reshape(entry.sizes, entry.shape), size=shape)
    if entry.kind == "binary":
        return rng.integers(0, 2, size=shape).astype(np.int8)
    if entry.dtype == "float32":
        return rng.random(shape, np.float32)
    return rng.integers(entry.low or 0, (entry.high or 255) + 1, size=shape).astype(entry.dtype)


@pytest.fixture
def make_space():
    """Makes the observation space of a seed: of one part, or of several."""

    def make(seed, parts=None):
        rng = np.random.default_rng(seed)
        count = rng.integers(1, 6) if parts is None else parts
        paths = [()] if count == 1 else [("part", i) for i in range(count)]
        return ObservationSpace(tuple(_entry(rng, path) for path in paths))

    return make


@pytest.fixture
def observe():
    """Makes a batch of observations: each part's values, and the array they are kept in."""

    def make(space, batch, seed=0):
        rng = np.random.default_rng(seed)
        values = [_value(rng, entry, batch) for entry in space.entries]
        array = space.empty(batch)
        space.write({"part": values} if space.packed else values[0], array)
        return values, array

    return make
