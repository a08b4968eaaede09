"""Minari's data sets, made here through its own API."""

import numpy as np
import pytest
from gymnasium import spaces

from poke.data import trajectories
from poke.data.trajectories import DataError
from poke.spaces import ActionSpace

minari = pytest.importorskip("minari", reason="needs poke[minari]")
pytest.importorskip("h5py", reason="needs poke[minari]")
LENGTHS = (3, 9, 4, 7, 5, 6)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def stacked(space, parts):
    """What Minari keeps of several observations: one array a part."""
    if isinstance(space, spaces.Dict):
        return {name: stacked(part, [p[name] for p in parts]) for name, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(stacked(part, [p[i] for p in parts]) for i, part in enumerate(space))
    return np.stack([np.asarray(part) for part in parts])


def make(observation_space, action_space, name="own/test-v0", spoil=lambda buffers: None):
    """Record random episodes and return them as they were given to Minari."""
    from minari.data_collector import EpisodeBuffer

    observation_space.seed(0)
    action_space.seed(0)
    buffers = []
    for number, length in enumerate(LENGTHS):
        seen = [observation_space.sample() for _ in range(length + 1)]
        buffers.append(
            EpisodeBuffer(
                id=number,
                seed=number,
                observations=stacked(observation_space, seen),
                actions=stacked(action_space, [action_space.sample() for _ in range(length)]),
                rewards=[1.0] * length,
                terminations=[False] * (length - 1) + [True],
                truncations=[False] * length,
            )
        )
    spoil(buffers)
    minari.create_dataset_from_buffers(
        name,
        buffers,
        env="CartPole-v1",  # Minari warns of data sets without, and takes the spaces given before its own
        eval_env="CartPole-v1",
        observation_space=observation_space,
        action_space=action_space,
        algorithm_name="random",
        author="nobody",
        author_email="nobody@example.org",
        code_permalink="https://example.org",
        description="random",
    )
    return buffers


def at(i, parts):
    """What `stacked` had of one moment."""
    if isinstance(parts, dict):
        return {name: at(i, part) for name, part in parts.items()}
    return tuple(at(i, part) for part in parts) if isinstance(parts, tuple) else parts[i]


VECTOR = spaces.Box(-1, 1, (4,), np.float32)


def test_a_local_data_set_is_read_and_served():
    from poke.data.minari import MinariDemonstrations, read

    buffers = make(VECTOR, spaces.Discrete(2))
    data = read("own/test-v0")
    total = sum(LENGTHS)
    assert data.num_episodes == len(LENGTHS)
    assert data.reward.sum() == total == len(data)
    assert data.observation.shape == (total, 4)
    assert data.terminated.sum() == len(LENGTHS)
    np.testing.assert_array_equal(data.observation[3], buffers[1].observations[0])
    assert data.action_space == ActionSpace.discrete(2)
    source = MinariDemonstrations("own/test-v0", batch_size=16, val_fraction=0.34)
    assert source.num_training + source.num_validation == total
    found = source.fingerprint
    assert (found.source, found.file, found.rows) == ("own/test-v0", None, total)
    with pytest.raises(DataError, match=r"no Minari dataset no/such-v0 .*own/test-v0"):
        read("no/such-v0")


OBSERVATIONS = {
    "vector": VECTOR,
    "float64": spaces.Box(-1, 1, (4,), np.float64),
    "picture": spaces.Box(0, 255, (4, 5, 3), np.uint8),
    "discrete": spaces.Discrete(5, start=2),
    "binary": spaces.MultiBinary(3),
    "dict": spaces.Dict(
        camera=spaces.Box(0, 255, (2, 3), np.uint8),
        arm=spaces.Dict(joints=VECTOR, tool=spaces.Discrete(3)),
    ),
    "tuple": spaces.Tuple((VECTOR, spaces.MultiDiscrete([2, 3]))),
}
ACTIONS = {
    "discrete": spaces.Discrete(3, start=1),
    "multi_discrete": spaces.MultiDiscrete([3, 2]),
    "multi_binary": spaces.MultiBinary(4),
    "vector": spaces.Box(-2, 2, (3,), np.float32),
    "matrix": spaces.Box(-2, 2, (2, 3), np.float64),
}


@pytest.mark.parametrize(
    ("observations", "actions"),
    [*((name, "discrete") for name in OBSERVATIONS), *(("vector", name) for name in ACTIONS)],
)
def test_every_kind_of_space_is_read_and_kept(tmp_path, observations, actions):
    from poke.data.minari import read

    seen, done = OBSERVATIONS[observations], ACTIONS[actions]
    buffers = make(seen, done)
    data = read("own/test-v0")
    space = data.observation_space
    wanted = [space.empty(length) for length in LENGTHS]
    for buffer, rows in zip(buffers, wanted, strict=True):
        for i, row in enumerate(rows):
            space.write(at(i, buffer.observations), row)
    np.testing.assert_array_equal(data.observation, np.concatenate(wanted))
    taken = np.concatenate([buffer.actions for buffer in buffers])
    done_again = data.action_space.to_environment(data.action)
    np.testing.assert_array_equal(done_again.astype(np.float32), taken.astype(np.float32))
    trajectories.write(tmp_path / "t.parquet", data)
    kept = trajectories.read(tmp_path / "t.parquet")
    assert (kept.observation_space, kept.action_space) == (space, data.action_space)
    np.testing.assert_array_equal(kept.observation, data.observation)
    np.testing.assert_array_equal(kept.action, data.action)


def test_a_mask_within_the_observations_is_the_mask():
    from poke.data.minari import read

    def allow(buffers):
        for buffer in buffers:
            mask = buffer.observations["action_mask"]
            mask[:] = 0
            mask[np.arange(len(buffer.actions)), buffer.actions] = 1

    masked = spaces.Dict(observation=VECTOR, action_mask=spaces.MultiBinary(3))
    make(masked, spaces.Discrete(3), spoil=allow)
    data = read("own/test-v0")
    np.testing.assert_array_equal(data.action_mask, np.eye(3, dtype=bool)[data.action])
    assert data.observation.shape[1:] == (4,)


@pytest.mark.parametrize(
    ("observations", "actions", "line"),
    [
        (spaces.Text(3, charset="ab"), spaces.Discrete(2), "has observations of Text"),
        (VECTOR, spaces.Tuple((spaces.Discrete(2), VECTOR)), "takes actions of Tuple"),
    ],
)
def test_a_space_that_poke_does_not_know_is_refused_in_one_line(observations, actions, line):
    from poke.spaces import SpaceError
    from poke.spaces.gymnasium import read_actions, read_observations

    def read():
        read_observations("own/test-v0", observations)
        read_actions("own/test-v0", actions)

    with pytest.raises(SpaceError, match=line) as refused:
        read()
    assert "\n" not in str(refused.value)


def test_values_that_cannot_be_are_refused_by_the_same_check():
    from poke.data.minari import read

    def spoil(buffers):
        buffers[2].observations[1, 2] = np.nan

    make(VECTOR, spaces.Discrete(2), spoil=spoil)
    with pytest.raises(DataError, match=r"own/test-v0: observation is not finite \(row 13\)"):
        read("own/test-v0")
