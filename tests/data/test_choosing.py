"""Which episodes are trained on, and how much files and episodes count."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.data.files.described import DataError
from poke.data.transitions import RecordedTransitions

from .transitions.episodes import drawn


def returns_by_episode(data):
    number = np.cumsum(data.timestep == 0) - 1
    return number, np.bincount(number, weights=data.reward)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 1.0])
def test_the_best_are_those_of_the_highest_return(share):
    data = drawn(5)
    source = Demonstrations(data, batch_size=4, val_fraction=0.2, filter=f"best:{share}")
    everything = Demonstrations(data, batch_size=4, val_fraction=0.2)
    number, returns = returns_by_episode(data)
    candidates = np.unique(number[everything._training.numpy()])
    kept = np.unique(number[source._training.numpy()])
    assert len(kept) == max(1, round(share * len(candidates)))
    left_out = np.setdiff1d(candidates, kept)
    assert not len(left_out) or returns[kept].min() >= returns[left_out].max()
    assert torch.equal(source._validation, everything._validation)


def test_of_equal_episodes_some_are_taken_from_all_over_the_recording():
    data = drawn(5, num_episodes=200)
    data.reward[...] = np.where(data.timestep == 0, 1.0, 0.0)
    source = Demonstrations(data, batch_size=4, val_fraction=0, filter="best:0.1")
    kept = np.unique(returns_by_episode(data)[0][source._training.numpy()])
    assert len(kept) == 40
    # A tenth of every fifth of the 400, to within a few.
    assert (np.abs(np.bincount(kept // 80, minlength=5) - 8) <= 2).all()


def test_winners_are_those_who_won():
    data = drawn(5)
    data.outcome[...] = np.where(data.player == 1, 1, -1)
    source = Demonstrations(data, batch_size=4, val_fraction=0.2, filter="winners")
    assert (data.player[source._training.numpy()] == 1).all()
    data.outcome[...] = 0
    with pytest.raises(DataError, match="no episode that is trained on was won"):
        Demonstrations(data, batch_size=4, val_fraction=0.2, filter="winners")


@pytest.mark.parametrize("text", ["best", "best:", "best:2", "best:0", "best:-1", "worst:0.1", ""])
def test_other_filters_are_refused(text):
    with pytest.raises(DataError, match=r"data\.filter must be winners, or best:SHARE"):
        Demonstrations(drawn(0), batch_size=4, val_fraction=0.2, filter=text)


@pytest.mark.parametrize("shares", [[1, 1], [0.2, 0.8], [0, 1], [9, 1]])
def test_files_count_as_they_are_told(shares, tmp_path):
    paths = []
    for number, episodes in enumerate((10, 50)):
        data = drawn(number, num_episodes=episodes)
        data.observation[...] = number
        trajectories.write(tmp_path / f"{number}.parquet", data)
        paths.append(str(tmp_path / f"{number}.parquet"))
    source = Demonstrations(paths, batch_size=8, val_fraction=0.2, shares=shares, seed=3)
    served = torch.cat([source.sample().observation for _ in range(source.num_training // 8)])
    wanted = shares[0] / sum(shares)
    assert abs(float((served == 0).float().mean()) - wanted) < 0.05
    other = Demonstrations(paths, batch_size=8, val_fraction=0.2, shares=shares, seed=3)
    other.set_state(source.get_state())
    assert torch.equal(source.sample().observation, other.sample().observation)


@pytest.mark.parametrize(
    ("shares", "fault"),
    [
        ([1], "gives 1 shares, and data.path names 2"),
        ([1, -1], "must not be negative"),
        ([0, 0], "all 0"),
    ],
)
def test_other_shares_are_refused(shares, fault, tmp_path):
    for name in "ab":
        trajectories.write(tmp_path / f"{name}.parquet", drawn(0))
    paths = [str(tmp_path / f"{name}.parquet") for name in "ab"]
    with pytest.raises(DataError, match=fault):
        Demonstrations(paths, batch_size=8, val_fraction=0.2, shares=shares)


def weighted(seed, weights, **options):
    """Episodes whose observations are their numbers, and how often each is served in an epoch."""
    data = drawn(seed, **options)
    number = np.cumsum(data.timestep == 0) - 1
    data.observation[...] = number.reshape(-1, *[1] * (data.observation.ndim - 1))
    weight = np.resize(np.float32(weights), number.max() + 1)[number]
    return replace(data, weight=weight), number


def served(source):
    observations = [source.sample().observation[:, 0] for _ in range(source.num_training)]
    return torch.cat(observations).long().numpy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weights", [[1.0], [0.3], [0, 1], [1, 2, 7], [0.001, 1000.0, 30.0]])
def test_episodes_are_served_as_often_as_their_weights_say(seed, weights):
    data, number = weighted(seed, weights, num_episodes=20)
    source = Demonstrations(data, batch_size=1, val_fraction=0.2, seed=seed)
    rows = source._training.numpy()
    counts = np.bincount(served(source), minlength=number.max() + 1)
    share = np.bincount(number[rows], data.weight[rows], minlength=number.max() + 1)
    wanted = len(rows) * share / share.sum()
    # A decision is served as often as is its due, rounded up or down: an episode's add up to within one.
    assert (np.abs(counts - wanted) <= 1).all()
    assert (counts[share == 0] == 0).all()
    if len(set(weights)) == 1:  # then every decision is served once
        assert sorted(source._order.tolist()) == rows.tolist()


def test_weights_hold_within_shares_and_are_resumed(tmp_path):
    paths = []
    for part in range(2):
        data, _ = weighted(part, [0, 1, 3], num_episodes=30)
        data.observation[...] = part
        trajectories.write(tmp_path / f"{part}.parquet", data)
        paths.append(str(tmp_path / f"{part}.parquet"))
    options = {"batch_size": 8, "val_fraction": 0.2, "shares": [1, 3], "seed": 3}
    source, other = Demonstrations(paths, **options), Demonstrations(paths, **options)
    rows = source._order
    assert abs(float((source._observed.take(rows)[0][:, 0] == 0).float().mean()) - 0.25) < 0.02
    source.sample()
    other.set_state(source.get_state())
    assert torch.equal(source._order, other._order)


@pytest.mark.parametrize("in_memory", [True, False])
def test_weights_are_of_the_file_and_of_those_without_1(in_memory, tmp_path):
    data, _ = weighted(1, [0.5, 2.0])
    trajectories.write(tmp_path / "a.parquet", data)
    np.testing.assert_array_equal(trajectories.read(tmp_path / "a.parquet").weight, data.weight)
    trajectories.write(tmp_path / "b.parquet", drawn(2))
    paths = [str(tmp_path / f"{name}.parquet") for name in "ab"]
    source = Demonstrations(paths, batch_size=4, val_fraction=0.2, in_memory=in_memory)
    weight = source._parts._weight
    assert (weight[: len(data)] == data.weight).all()
    assert (weight[len(data) :] == 1).all()
    without = replace(data, weight=None)
    trajectories.write(tmp_path / "c.parquet", without)
    prints = [
        Demonstrations(str(tmp_path / f"{n}.parquet"), batch_size=4, val_fraction=0.2).fingerprint
        for n in "ac"
    ]
    assert prints[0].content != prints[1].content
    with pytest.raises(DataError, match="one has episode weights, the other none"):
        trajectories.join(tmp_path / "d.parquet", paths, data.metadata)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda w: np.where(np.arange(len(w)) == 0, np.nan, w),
            "weight is not finite, or negative",
        ),
        (lambda w: -w, "weight is not finite, or negative"),
        (lambda w: w + (np.arange(len(w)) == 1), "weight is not that of the episode's first row"),
    ],
)
def test_other_weights_are_refused(change, fault, tmp_path):
    data, _ = weighted(0, [1.0])
    assert data.timestep[1] == 1
    with pytest.raises(DataError, match=fault):
        trajectories.write(
            tmp_path / "a.parquet", replace(data, weight=np.float32(change(data.weight)))
        )


def test_weights_of_0_leave_nothing_to_train_on():
    with pytest.raises(DataError, match="every episode that is trained on is weighted 0"):
        Demonstrations(weighted(0, [0.0])[0], batch_size=4, val_fraction=0.2)


@pytest.mark.parametrize("source", [Demonstrations, RecordedTransitions])
def test_nothing_is_held_out_where_that_is_asked_for(source):
    data = drawn(3)
    known = data.finals.rows  # what the others that were cut off led to is not known
    data.truncated[np.setdiff1d(np.flatnonzero(data.truncated), known)] = False
    ends = np.append(np.flatnonzero(data.timestep == 0)[1:], len(data)) - 1
    data.terminated[ends] = ~data.truncated[ends]
    made = source(data, batch_size=4, val_fraction=0)
    assert made.num_training == len(data)
    assert not made.num_validation
    assert list(made.validation_batches(100)) == []
