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


def masks_of(space, count):
    """Random masks that leave an action of each part."""
    rng = np.random.default_rng(1)
    mask = rng.random((count, space.mask_size)) < 0.4
    begin = 0
    for size in space.sizes:
        mask[np.arange(count), begin + rng.integers(size, size=count)] = True
        begin += size
    return mask


@pytest.mark.parametrize("name", SPACES)
def test_drawn_actions_are_a_policys_own(name):
    space = SPACES[name]
    drawn = space.draw(np.random.default_rng(0), 50)
    assert drawn.shape == (50, *space.action_shape)
    assert drawn.dtype == space.action_dtype
    assert np.isfinite(drawn).all()
    assert drawn.tolist() == space.draw(np.random.default_rng(0), 50).tolist()
    assert len(np.unique(drawn.reshape(50, -1), axis=0)) > 1


@pytest.mark.parametrize("name", ["discrete", "multi_discrete"])
def test_actions_are_drawn_among_what_is_legal_and_all_of_that_alike(name):
    space = SPACES[name]
    mask = masks_of(space, 20)
    count = np.zeros((20, space.mask_size))
    generator = np.random.default_rng(0)
    begins = np.cumsum([0, *space.sizes[:-1]])
    num_draws = 2000
    for _ in range(num_draws):
        drawn = space.draw(generator, 20, mask).reshape(20, -1) + begins
        np.add.at(count, (np.arange(20)[:, None], drawn), 1)
    assert not count[~mask].any()
    for begin, size in zip(begins, space.sizes, strict=True):
        part = slice(begin, begin + size)
        alike = num_draws * mask[:, part] / mask[:, part].sum(axis=1, keepdims=True)
        assert (np.abs(count[:, part] - alike) <= 6 * np.sqrt(num_draws / 4)).all()


def test_switches_are_drawn_alike():
    drawn = SPACES["multi_binary"].draw(np.random.default_rng(0), 4000)
    assert set(drawn.reshape(-1).tolist()) == {0, 1}
    assert (np.abs(drawn.mean(axis=0) - 0.5) < 0.05).all()


@pytest.mark.parametrize("bounds", ["clip", "squash"])
def test_numbers_are_drawn_uniformly_within_their_bounds_as_the_environment_takes_them(bounds):
    space = ActionSpace.continuous_box((2,), [-1, 0], [3, 10], bounds=bounds)
    taken = space.to_environment(space.draw(np.random.default_rng(0), 8000))
    for k, (low, high) in enumerate([(-1, 3), (0, 10)]):
        unit = np.sort((taken[:, k] - low) / (high - low))
        # The greatest distance of two distributions, Kolmogorov's.
        assert np.abs(unit - np.linspace(0, 1, 8000)).max() < 0.025


def test_numbers_without_a_bound_are_drawn_from_a_standard_normal():
    drawn = SPACES["clip"].draw(np.random.default_rng(0), 8000)
    for k, bounded in enumerate([True, False, False, True]):  # the last has a single value
        if not bounded:
            assert abs(drawn[:, k].mean()) < 0.06
            assert abs(drawn[:, k].std() - 1) < 0.06
    assert (np.abs(drawn[:, 0]) <= 1).all()
    assert (drawn[:, 3] == 5).all()
