"""Which episodes are trained on, and how much files count."""

import numpy as np
import pytest
import torch

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.data.steps import DataError

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
