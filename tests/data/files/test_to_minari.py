"""What was recorded is read back from Minari as it was."""

from dataclasses import replace

import numpy as np
import pytest

from poke.data.files.described import DataError, described
from poke.data.files.steps import UNKNOWN_ACTION, Finals, Trajectories
from poke.spaces.gymnasium import parts_of, read_actions, read_observations

from ..test_minari import ACTIONS, OBSERVATIONS, VECTOR, make, spaces

pytest.importorskip("minari", reason="needs poke[minari]")
pytest.importorskip("h5py", reason="needs poke[minari]")
NAME = "own/again-v0"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def drawn(observation, action, *, masked=False, seed=0):
    """Episodes that terminate, are cut off with and without a final observation, or just stop."""
    rng = np.random.default_rng(seed)
    observation.seed(seed), action.seed(seed)
    seen, done = read_observations("x", observation), read_actions("x", action)

    def some(count):
        rows = seen.empty(count)
        for row in rows:
            seen.write(observation.sample(), row)
        return rows

    lengths = rng.integers(2, 7, 12)
    count, last = int(lengths.sum()), np.cumsum(lengths) - 1
    end = np.arange(12) % 4  # terminated, cut off and known, cut off and not known, stopped
    actions = np.stack([action.sample() for _ in range(count)])
    known = last[end == 1]
    mask = final = None
    own = done.from_environment(actions)
    if masked:
        mask, final = (rng.random((n, done.mask_size)) < 0.5 for n in (count, len(known)))
        mask[np.arange(count), own] = final[:, 0] = True
    return Trajectories(
        observation=some(count),
        action=own,
        action_mask=mask,
        reward=rng.normal(size=count).astype(np.float32),
        terminated=np.isin(np.arange(count), last[end == 0]),
        truncated=np.isin(np.arange(count), last[(end == 1) | (end == 2)]),
        episode=np.repeat(np.arange(12), lengths),
        player=np.zeros(count, np.int8),
        timestep=np.concatenate([np.arange(n) for n in lengths]).astype(np.int32),
        outcome=np.zeros(count, np.int8),
        metadata=described(seen, done),
        finals=Finals(known, some(len(known)), final),
    )


def again(data, name=NAME):
    from poke.data.files.to_minari import write
    from poke.data.minari import read

    write(name, data, description="drawn")
    return read(name)


def same(data, rows, read, again):
    """Observations are the same part by part: Minari sorts the parts of a Dict, and so may their places differ."""
    told, found = parts_of(data.observation_space, rows), parts_of(read.observation_space, again)
    for entry in data.observation_space.entries:
        a, b = told, found
        # With a mask, what is seen stands beside it.
        b = b["observation"] if isinstance(b, dict) and [*b] == ["observation"] else b
        for key in entry.path:
            a, b = a[key], b[key]
        np.testing.assert_array_equal(a, b)


def check(data, read):
    """Every column, but for the last decision of episodes of which it is not known what it led to."""
    ends = np.append(data.timestep[1:] == 0, True)
    lost = ends & data.truncated & ~np.isin(np.arange(len(data)), data.finals.rows)
    kept = ~lost
    before = np.append(lost[1:], False)
    same(data, data.observation[kept], read, read.observation)
    np.testing.assert_array_equal(read.action, data.action[kept])
    np.testing.assert_array_equal(read.reward, data.reward[kept])
    np.testing.assert_array_equal(read.terminated, data.terminated[kept])
    np.testing.assert_array_equal(read.truncated, (data.truncated | before)[kept])
    np.testing.assert_array_equal(read.timestep, data.timestep[kept])
    if data.action_mask is not None:
        np.testing.assert_array_equal(read.action_mask, data.action_mask[kept])
    number = np.cumsum(kept) - 1
    rows = np.union1d(data.finals.rows, np.flatnonzero(before))
    np.testing.assert_array_equal(read.finals.rows, number[rows])
    for i, row in enumerate(rows):
        final = np.flatnonzero(data.finals.rows == row)
        of, at = (data.finals, final[0]) if len(final) else (data, row + 1)
        same(data, of.observation[at][None], read, read.finals.observation[i][None])
        if data.action_mask is not None:
            np.testing.assert_array_equal(read.finals.action_mask[i], of.action_mask[at])


@pytest.mark.parametrize(
    ("observations", "actions"),
    [*((name, "discrete") for name in OBSERVATIONS), *(("vector", name) for name in ACTIONS)],
)
def test_every_kind_of_space_comes_back(observations, actions):
    data = drawn(OBSERVATIONS[observations], ACTIONS[actions])
    read = again(data)
    check(data, read)
    assert read.action_space == data.action_space
    kept, space = read.observation_space.entries, data.observation_space
    assert sorted(kept, key=str) == sorted(space.entries, key=str)


@pytest.mark.parametrize("observations", OBSERVATIONS)
def test_masks_come_back_beside_whatever_is_seen(observations):
    data = drawn(OBSERVATIONS[observations], ACTIONS["discrete"], masked=True)
    check(data, again(data))


def test_masks_within_observations_come_back_where_they_were():
    where = spaces.Dict(seen=VECTOR, inner=spaces.Dict(action_mask=spaces.MultiBinary(3), x=VECTOR))
    data = drawn(where, ACTIONS["discrete"], masked=True)
    read = again(data)
    check(data, read)
    assert read.observation_space.mask == data.observation_space.mask


def test_what_is_lost_is_said(caplog):
    again(drawn(VECTOR, ACTIONS["vector"]))
    assert "3 episodes that were cut off lose their last decision" in caplog.text


def test_what_cannot_be_written_is_refused_in_one_line():
    from poke.data.files.to_minari import refuse_name

    make(VECTOR, spaces.Discrete(2), name="own/there-v0")
    with pytest.raises(DataError, match="there is a Minari dataset own/there-v0 already"):
        refuse_name("own/there-v0")
    with pytest.raises(DataError, match="names are as in cartpole/mine-v0"):
        refuse_name("no version")
    data = drawn(VECTOR, spaces.Discrete(3))
    unknown = replace(
        data,
        action=np.full_like(data.action, UNKNOWN_ACTION),
        marks=np.zeros((len(data), 4), np.uint8),
    )
    with pytest.raises(DataError, match="no decisions whose choice is not known"):
        again(unknown)


def test_a_writing_that_fails_leaves_nothing(monkeypatch):
    import minari
    from minari.dataset._storages.hdf5_storage import HDF5Storage

    def fail(self, episodes):
        raise OSError("no space left on device")

    data = drawn(VECTOR, ACTIONS["vector"])
    with monkeypatch.context() as spoiled:
        spoiled.setattr(HDF5Storage, "update_episodes", fail)
        with pytest.raises(OSError, match="no space"):
            again(data)
    assert NAME not in minari.list_local_datasets()
    again(drawn(VECTOR, ACTIONS["vector"]))
