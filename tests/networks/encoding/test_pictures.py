import pytest
import torch
from torch import nn

from poke.networks.cnn import CNN
from poke.networks.encoding.pictures import is_picture, read_picture
from poke.spaces import Entry, ObservationSpace


def cnn(shape, dtype="uint8", low=None, high=None):
    torch.manual_seed(0)
    space = ObservationSpace.box(shape, dtype, low=low, high=high)
    return CNN(observation_space=space, num_outputs=5, hidden_size=16)


def pixels(*shape):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).byte()


@pytest.mark.parametrize(
    ("shape", "channels", "height", "width"),
    [
        ((20, 30), 1, 20, 30),
        ((4, 84, 84), 4, 84, 84),
        ((84, 84, 4), 4, 84, 84),
        ((210, 160, 3), 3, 210, 160),
        ((3, 210, 160), 3, 210, 160),
        ((8, 8, 111), 111, 8, 8),
        ((16, 8, 8), 16, 8, 8),
        ((84, 84, 84), 84, 84, 84),
        ((4, 96, 96, 3), 12, 96, 96),
        ((4, 3, 96, 96), 12, 96, 96),
        ((4, 96, 96, 1), 4, 96, 96),
    ],
)
def test_axes_are_read_for_what_they_are(shape, channels, height, width):
    picture = read_picture(shape)
    assert (picture.channels, picture.height, picture.width) == (channels, height, width)


@pytest.mark.parametrize("shape", [(), (9,), (4, 17), (3, 6, 9), (9, 6, 3), (1, 2, 3, 9, 9)])
def test_other_axes_are_no_picture(shape):
    assert read_picture(shape) is None


@pytest.mark.parametrize(
    ("entry", "yes"),
    [
        (Entry((), "box", (16, 16), "uint8"), True),
        (Entry((), "box", (16, 16), "float32", 0.0, 1.0), True),
        (Entry((), "box", (16, 16), "float32"), False),  # vectors, stacked
        (Entry((), "box", (8, 24), "float32", -1.0, 1.0), False),
        (Entry((), "box", (7, 7, 3), "float32"), True),
        (Entry((), "binary", (10, 10, 4)), True),
        (Entry((), "discrete", (9, 9, 2), sizes=(3,) * 162, starts=(0,) * 162), False),
    ],
)
def test_what_auto_takes_for_a_picture(entry, yes):
    assert is_picture(entry) is yes


@pytest.mark.parametrize(("height", "width"), [(7, 7), (12, 10), (35, 90), (36, 40)])
def test_one_picture_gives_the_same_in_every_layout(height, width):
    frames = pixels(2, 3, 3, height, width)  # [batch, frame, channel, height, width]
    stacked = cnn((3, 3, height, width))(frames)
    torch.testing.assert_close(cnn((3, height, width, 3))(frames.permute(0, 1, 3, 4, 2)), stacked)
    torch.testing.assert_close(cnn((9, height, width))(frames.flatten(1, 2)), stacked)
    single = frames[:, 0, :1]
    grey = cnn((1, height, width))(single)
    torch.testing.assert_close(cnn((height, width, 1))(single.permute(0, 2, 3, 1)), grey)
    torch.testing.assert_close(cnn((height, width))(single[:, 0]), grey)


@pytest.mark.parametrize("shape", [(3, 9, 9), (40, 40, 3)])
def test_bytes_and_numbers_of_one_picture_give_the_same(shape):
    seen = pixels(4, *shape)
    expected = cnn(shape)(seen)
    for low, high, dtype, values in [
        (0.0, 255.0, "uint8", seen),
        (0.0, 255.0, "float32", seen.float()),
        (0.0, 1.0, "float32", seen.float() / 255),
        (None, None, "float32", seen.float() / 255),
    ]:
        torch.testing.assert_close(cnn(shape, dtype, low, high)(values), expected)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.5), (-1.0, 1.0), (None, 255.0)])
def test_what_lies_within_one_or_may_be_anything_is_left_as_it_is(low, high):
    seen = torch.rand(2, 9, 9, 3)
    torch.testing.assert_close(
        cnn((9, 9, 3), "float32", low, high)(seen), cnn((9, 9, 3), "float32")(seen)
    )


def test_a_type_s_own_limits_say_nothing_of_a_picture():
    seen = torch.rand(2, 9, 9, 3)
    largest = torch.finfo(torch.float32).max
    torch.testing.assert_close(
        cnn((9, 9, 3), "float32", -largest, largest)(seen), cnn((9, 9, 3), "float32")(seen)
    )


def test_long_sides_get_the_network_of_the_paper():
    network = cnn((4, 84, 84))
    found = [
        (m.in_channels, m.out_channels, m.kernel_size, m.stride)
        for m in network.modules()
        if isinstance(m, nn.Conv2d)
    ]
    assert found == [
        (4, 32, (8, 8), (4, 4)),
        (32, 64, (4, 4), (2, 2)),
        (64, 64, (3, 3), (1, 1)),
    ]
    assert list(network.state_dict()) == [
        f"layers.{layer}.{kind}"
        for layer in ("0.0", "0.2", "0.4", "1", "3")
        for kind in ("weight", "bias")
    ]
    seen = pixels(3, 4, 84, 84)
    assert torch.equal(network(seen), network.layers(seen.float() / 255))


@pytest.mark.parametrize(
    "space",
    [
        ObservationSpace.box((4,)),
        ObservationSpace.box((6, 6, 3), "uint8"),
        ObservationSpace((Entry((), "discrete", (), sizes=(9,), starts=(0,)),)),
        ObservationSpace((Entry(("a",), "box", (84, 84, 3), "uint8"), Entry(("b",), "box", (2,)))),
    ],
)
def test_what_is_no_picture_is_refused(space):
    with pytest.raises(ValueError, match="network=cnn needs pictures") as caught:
        CNN(observation_space=space, num_outputs=2, hidden_size=8)
    assert str(space) in str(caught.value)
    assert "\n" not in str(caught.value)
