import numpy as np
import pytest

from poke.spaces import ActionSpace, SpaceError

SPACES = {
    "discrete": ActionSpace.discrete(5, start=-2),
    "multi_discrete": ActionSpace(
        "multi_discrete", (2, 3, 4, 5), (0, 1, -1, 7), shape=(2, 2), dtype="int32"
    ),
    "multi_binary": ActionSpace("multi_binary", (2,) * 6, (0,) * 6, shape=(2, 3), dtype="int8"),
    "clip": ActionSpace.continuous_box((2, 2), [[-1, 0], [-np.inf, 5]], [[1, np.inf], [3, 5]]),
    "squash": ActionSpace.continuous_box((3,), [-1, 0, 2], [1, 10, 2], bounds="squash"),
}


def own_actions(space, count=200):
    rng = np.random.default_rng(0)
    if space.continuous:
        return rng.normal(0, 4, (count, *space.action_shape)).astype(np.float32)
    sizes = np.array(space.sizes).reshape(space.action_shape)
    return rng.integers(0, np.broadcast_to(sizes, (count, *space.action_shape)))


@pytest.mark.parametrize("name", SPACES)
def test_what_the_environment_gets_is_in_its_space_and_comes_back(name):
    space = SPACES[name]
    own = own_actions(space)
    given = space.to_environment(own)
    assert given.shape == (len(own), *space.shape)
    assert given.dtype == space.dtype
    back = space.from_environment(given)
    assert back.dtype == space.action_dtype
    assert np.allclose(space.to_environment(back), given, atol=1e-5)
    if space.continuous:
        low, high = (np.reshape(end, space.shape) for end in (space.low, space.high))
        assert ((low <= given) & (given <= high)).all()
    else:
        assert (back == own).all()
    assert ActionSpace.from_dict(space.to_dict()) == space


def test_squashed_actions_come_back_where_they_were_not_at_the_bounds():
    space = ActionSpace.continuous_box((2,), -3, 5, bounds="squash")
    own = np.random.default_rng(0).normal(0, 1, (100, 2)).astype(np.float32)
    assert np.allclose(space.from_environment(space.to_environment(own)), own, atol=1e-3)


def test_masks_of_several_choices_are_flat_or_in_parts_nested_as_the_choices_are():
    space = SPACES["multi_discrete"]
    flat = np.random.default_rng(0).integers(0, 2, (3, 14)).astype(np.int8)
    cuts = np.split(flat, [2, 5, 9], axis=1)
    for mask in (flat, tuple(cuts), ((cuts[0], cuts[1]), (cuts[2], cuts[3]))):
        assert (space.read_mask(mask, 3) == flat.astype(bool)).all()
    assert (space.read_mask(tuple(cut[0] for cut in cuts)) == flat[0].astype(bool)).all()


@pytest.mark.parametrize(
    ("name", "mask", "line"),
    [
        ("discrete", np.ones(4), r"an action mask has shape \[4\], not \[5\]"),
        ("discrete", np.ones((1, 5)), r"an action mask has shape \[1, 5\], not \[5\]"),
        ("discrete", True, r"an action mask has shape \[\], not \[5\]"),
        ("multi_discrete", (np.ones(2), np.ones(3)), "an action mask is no array"),
        ("clip", np.ones(4), "an action mask is of choices, and these actions are numbers"),
        ("multi_binary", np.ones(6), "an action mask is of choices"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(name, mask, line):
    with pytest.raises(SpaceError, match=f"^{line}"):
        SPACES[name].read_mask(mask)
