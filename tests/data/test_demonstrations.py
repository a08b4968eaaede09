import numpy as np
import pytest
import torch

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.data.trajectories import DataError, Trajectories


def write(path, num_episodes=20, length=7, continuous=False):
    n = num_episodes * length
    rng = np.random.default_rng(0)
    last = np.arange(n) % length == length - 1
    action = rng.integers(0, 3, n)
    data = Trajectories(
        # every observation is its row's number: what is served can be told apart
        observation=np.arange(n, dtype=np.float32)[:, None],
        action=rng.normal(size=(n, 2)).astype(np.float32) if continuous else action,
        action_mask=None
        if continuous
        else np.eye(3, dtype=bool)[action] | (rng.random((n, 3)) < 0.5),
        reward=np.zeros(n, np.float32),
        terminated=last,
        truncated=np.zeros(n, bool),
        episode=np.arange(n) // length,
        player=np.zeros(n, np.int8),
        timestep=(np.arange(n) % length).astype(np.int32),
        outcome=np.zeros(n, np.int8),
        metadata={
            "observation": {"dtype": "float32", "shape": [1]},
            "action": {"kind": "continuous", "shape": [2]}
            if continuous
            else {"kind": "discrete", "num_actions": 3},
        },
    )
    trajectories.write(path, data)
    return str(path)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "data.parquet")


def source(path, **options):
    return Demonstrations(path, **{"batch_size": 10, "val_fraction": 0.25, "seed": 0, **options})


def served(demonstrations, num_batches):
    return [
        demonstrations.sample().observation.flatten().int().tolist() for _ in range(num_batches)
    ]


def held_out(demonstrations):
    batches = demonstrations.validation_batches(9)
    return [int(x) for batch in batches for x in batch.observation.flatten()]


def test_the_split_is_by_episode_and_the_same_for_every_seed(path):
    a, b = source(path, seed=0), source(path, seed=1)
    assert held_out(a) == held_out(b) == sorted(held_out(a))
    episodes = {row // 7 for row in held_out(a)}
    assert len(episodes) == 6
    assert len(held_out(a)) == 6 * 7
    trained = {x for batch in served(a, 200) for x in batch}
    assert not {row // 7 for row in trained} & episodes
    assert a.num_training == 14 * 7 == len(trained)


def test_an_epoch_serves_nothing_twice_and_then_begins_anew_in_another_order(path):
    s = source(path)
    first = [row for batch in served(s, 9) for row in batch]
    assert len(set(first)) == 90
    assert s.epoch == 0
    second = [row for batch in served(s, 9) for row in batch]
    assert s.epoch == 1
    assert first != second


def test_the_seed_fixes_the_order(path):
    assert served(source(path, seed=3), 30) == served(source(path, seed=3), 30)
    assert served(source(path, seed=3), 5) != served(source(path, seed=4), 5)


@pytest.mark.parametrize("num_batches", [0, 1, 10, 13, 25])
def test_it_goes_on_exactly_where_it_was(path, num_batches, tmp_path):
    s = source(path)
    served(s, num_batches)
    torch.save(s.get_state(), tmp_path / "state")
    expected = served(s, 25), s.epoch
    fresh = source(path, seed=99)
    fresh.set_state(torch.load(tmp_path / "state", weights_only=True))
    assert (served(fresh, 25), fresh.epoch) == expected


def test_observation_action_and_mask_belong_together(path):
    data = trajectories.read(path)
    batch = source(path).sample()
    rows = batch.observation.flatten().long()
    assert torch.equal(batch.action, torch.from_numpy(data.action)[rows])
    assert torch.equal(batch.action_mask, torch.from_numpy(data.action_mask)[rows])
    assert (batch.num_steps, batch.num_samples) == (1, 10)


def test_a_batch_larger_than_the_data_is_all_of_it(path):
    s = source(path, batch_size=1000)
    assert s.sample().num_samples == s.num_training


@pytest.mark.parametrize(("fraction", "side"), [(0.0, "validation"), (0.99, "training")])
def test_an_empty_split_is_refused(path, fraction, side):
    with pytest.raises(DataError, match=f"has 20 episodes: .* the {side} split is empty"):
        source(path, val_fraction=fraction)


def test_continuous_actions_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds continuous actions"):
        source(write(tmp_path / "data.parquet", continuous=True))


def test_an_unknown_sample_is_refused():
    with pytest.raises(DataError, match="no sample nothing"):
        source("sample:nothing")
