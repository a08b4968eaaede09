import numpy as np
import pytest
import torch

from poke.networks.encoding.packed import ChoiceEncoder, JoinedEncoder, unpack
from poke.spaces import Entry, ObservationSpace

SEEDS = range(12)


def joined(space):
    torch.manual_seed(0)
    return JoinedEncoder(
        space, hidden_sizes=[8], activation="tanh", picture_size=8, embedding_size=3
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_every_part_is_read_as_it_was_written(seed, make_space, observe):
    space = make_space(seed, parts=2 + seed % 4)
    values, array = observe(space, batch=3)
    parts = unpack(torch.from_numpy(array), space)
    for part, value, field in zip(parts, values, space.fields, strict=True):
        assert part.numpy().dtype == field.dtype
        np.testing.assert_array_equal(part.numpy(), value.astype(field.dtype))


def test_rows_of_any_tensor_are_read():
    """Of a batch of one, of rows in the middle, of every other row."""
    space = ObservationSpace(
        tuple(
            Entry((name,), "box", (3,), dtype)
            for name, dtype in [("a", "uint8"), ("b", "float64"), ("c", "float32"), ("d", "int16")]
        )
    )
    values = {e.path[0]: np.arange(18).reshape(6, 3).astype(e.dtype) for e in space.entries}
    array = space.empty(6)
    space.write(values, array)
    rows = torch.from_numpy(array)
    for chosen in (slice(5, 6), slice(1, 4), slice(0, 6, 2)):
        for part, value in zip(unpack(rows[chosen], space), values.values(), strict=True):
            np.testing.assert_array_equal(part.numpy(), value[chosen])


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_that_come_apart_are_encoded_as_packed_ones(seed, make_space, observe):
    space = make_space(seed, parts=3)
    network, rows = joined(space), torch.from_numpy(observe(space, batch=4)[1])
    torch.testing.assert_close(network(unpack(rows, space)), network(rows))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("seed", SEEDS)
def test_an_encoder_of_parts_can_be_traced(seed, make_space, observe):
    """For a batch of any size; what looks into bytes can not be."""
    space = make_space(seed, parts=3)
    network = joined(space)
    few, rows = (torch.from_numpy(observe(space, batch=size)[1]) for size in (2, 5))
    traced = torch.jit.trace(network, (unpack(few, space),))
    torch.testing.assert_close(traced(unpack(rows, space)), network(rows))


def test_every_value_of_every_choice_has_features_of_its_own():
    torch.manual_seed(0)
    encoder = ChoiceEncoder((3, 4), embedding_size=2)
    ids = torch.cartesian_prod(torch.arange(3), torch.arange(4)).int()
    first, second = encoder(ids).unflatten(1, (2, 2)).unbind(dim=1)
    found = {tuple(row.tolist()) for row in torch.cat([first, second])}
    assert len(found) == 3 + 4
    assert encoder(ids).shape == (12, encoder.size)
