from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.data.files.assembling import assemble
from poke.data.files.fingerprint import held_out as held_out_episodes
from poke.data.trajectories import DataError, Trajectories
from poke.spaces import ActionSpace, ObservationNormalizer


def recorded(num_episodes=20, length=7, continuous=False):
    n = num_episodes * length
    rng = np.random.default_rng(0)
    last = np.arange(n) % length == length - 1
    action = rng.integers(0, 3, n)
    return Trajectories(
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


def write(path, **options):
    trajectories.write(path, recorded(**options))
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


def test_an_empty_split_is_refused(path):
    with pytest.raises(DataError, match=r"has 20 episodes: .* the training split is empty"):
        source(path, val_fraction=0.99)


def test_continuous_actions_are_served_as_the_file_holds_them(tmp_path):
    s = source(write(tmp_path / "data.parquet", continuous=True))
    batch = s.sample()
    rows = batch.observation.flatten().long()
    recorded = trajectories.read(tmp_path / "data.parquet").action
    assert torch.equal(batch.action, torch.from_numpy(recorded)[rows])
    assert s.action_space.continuous


def test_squashed_actions_are_served_as_a_policy_has_them():
    data = recorded(continuous=True)
    space = ActionSpace.continuous_box((2,), -5, 5, bounds="squash")
    data.metadata["action"]["space"] = space.to_dict()
    batch = source(data).sample()
    back = space.to_environment(batch.action.numpy())
    np.testing.assert_allclose(back, data.action[batch.observation.flatten().long()], atol=1e-5)


class Learner:
    """An algorithm, as far as demonstrations ask for one."""

    def __init__(self, remembers):
        self.policy = self
        self.remembers = remembers

    def initial_state(self, batch_size):
        return object() if self.remembers else None


def in_sequences(path, sequence_length=3, **options):
    s = source(path, sequence_length=sequence_length, **options)
    s.attach(Learner(True))
    return s


def pieces(batch):
    """The rows of each sequence of a batch, without its padding."""
    rows = batch.observation[..., 0].int()
    return [rows[:, i][batch.real[:, i]].tolist() for i in range(rows.shape[1])]


@pytest.mark.parametrize("length", [1, 3, 7, 20])
def test_a_memory_is_served_sequences_that_no_episode_ends_in(path, length):
    s = in_sequences(path, length, batch_size=20)
    batch = s.sample()
    assert batch.observation.shape[:2] == batch.real.shape
    assert len(batch.real) == length
    assert batch.num_samples == sum(map(len, pieces(batch)))
    assert batch.action.shape == batch.real.shape
    assert batch.action_mask.shape == (*batch.real.shape, 3)
    data = trajectories.read(path)
    for _ in range(40):
        batch = s.sample()
        for rows in pieces(batch):
            assert rows == list(range(rows[0], rows[0] + len(rows)))
            assert rows[0] // 7 == rows[-1] // 7
            assert rows[0] % 7 % length == 0
            # Nothing is cut short but by the end of the episode.
            assert len(rows) == min(length, 7 - rows[0] % 7)
            assert not set(rows) & set(held_out(source(path)))
        real = batch.observation[..., 0].long()[batch.real]
        assert torch.equal(batch.action[batch.real], torch.from_numpy(data.action)[real])


def test_an_epoch_of_sequences_serves_every_decision_once(path):
    s = in_sequences(path, 3, batch_size=6)
    rows = [row for _ in range(21) for piece in pieces(s.sample()) for row in piece]
    assert s.epoch == 0
    assert len(rows) == len(set(rows)) == 14 * 7
    s.sample()
    assert s.epoch == 1


@pytest.mark.parametrize("num_batches", [0, 1, 13, 30])
def test_sequences_go_on_exactly_where_they_were(path, num_batches, tmp_path):
    s = in_sequences(path)
    for _ in range(num_batches):
        s.sample()
    torch.save(s.get_state(), tmp_path / "state")
    expected = [pieces(s.sample()) for _ in range(25)]
    fresh = in_sequences(path, seed=99)
    fresh.set_state(torch.load(tmp_path / "state", weights_only=True))
    assert [pieces(fresh.sample()) for _ in range(25)] == expected


@pytest.mark.parametrize("batch_size", [1, 7, 20, 10_000])
def test_held_out_episodes_are_whole_for_a_memory(path, batch_size):
    s = in_sequences(path, 3)
    batches = list(s.validation_batches(batch_size))
    whole = [piece for batch in batches for piece in pieces(batch)]
    assert [row for piece in whole for row in piece] == held_out(source(path))
    assert all(len(piece) == 7 for piece in whole)
    assert all(batch.real.numel() <= max(batch_size, 7) for batch in batches)


def test_what_remembers_nothing_is_served_decisions(path):
    s = source(path)
    s.attach(Learner(False))
    assert served(s, 20) == served(source(path), 20)


def test_an_unknown_sample_is_refused():
    with pytest.raises(DataError, match="no sample nothing"):
        source("sample:nothing")


def normalised(data, **options):
    made = Demonstrations(
        data, batch_size=10_000, val_fraction=0.3, seed=0, normalize_observation=True, **options
    )
    normalizer = ObservationNormalizer(made.observation_space, made.observation_clip)
    return made, normalizer


def numbers(count=200):
    """Forty episodes, each seen once, far from 0 and from each other."""
    rng = np.random.default_rng(0)
    return assemble(
        {
            "observation": rng.normal(50, 7, size=(count, 3)).astype(np.float32),
            "action": rng.integers(2, size=count),
            "reward": np.zeros(count, np.float32),
            "terminated": np.arange(count) % 5 == 4,
        }
    )


@pytest.mark.parametrize("memory", [None, ()])
def test_observations_are_normalised_by_what_is_trained_on(memory):
    raw = numbers().observation
    made, normalizer = normalised(numbers(), sequence_length=5)
    kept = held_out_episodes([40], 0.3)
    policy = SimpleNamespace(normalizer=normalizer, initial_state=lambda size: memory)
    made.attach(SimpleNamespace(policy=policy))
    trained = raw[~np.repeat(kept, 5)]
    np.testing.assert_allclose(normalizer.moments.mean, trained.mean(0), rtol=1e-5)
    wanted = normalizer(raw[np.repeat(kept, 5)])
    seen = [batch.observation.numpy() for batch in made.validation_batches(7)]
    flat = np.concatenate(
        [part.swapaxes(0, 1).reshape(-1, 3) if memory is not None else part for part in seen]
    )
    np.testing.assert_array_equal(flat, wanted)
    part = made.sample().observation.reshape(-1, 3)
    assert part.mean(0).abs().max() < 1e-3


def test_observations_are_normalised_by_what_was_restored():
    made, normalizer = normalised(numbers())
    policy = SimpleNamespace(normalizer=normalizer, initial_state=lambda size: None)
    made.attach(SimpleNamespace(policy=policy))
    other = ObservationNormalizer(made.observation_space, 10.0)
    other.learn(np.float32([[0, 0, 0], [100, 100, 100]]))
    normalizer.set_state(other.get_state())
    kept = np.repeat(held_out_episodes([40], 0.3), 5)
    seen = np.concatenate([batch.observation for batch in made.validation_batches(7)])
    np.testing.assert_array_equal(seen, other(numbers().observation[kept]))
