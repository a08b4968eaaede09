import json

import numpy as np
import pytest

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.data.trajectories import DataError


def test_a_local_minari_dataset_is_read(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari", reason="needs poke[minari]")
    pytest.importorskip("h5py", reason="needs poke[minari]")
    from poke.data.minari import MinariDemonstrations, read

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    from minari.data_collector import EpisodeBuffer

    rng = np.random.default_rng(0)
    buffers = []
    for number, length in enumerate([3, 9, 4, 7, 5, 6]):
        buffers.append(
            EpisodeBuffer(
                id=number,
                seed=number,
                observations=rng.normal(size=(length + 1, 4)).astype(np.float32),
                actions=rng.integers(2, size=length),
                rewards=[1.0] * length,
                terminations=[False] * (length - 1) + [True],
                truncations=[False] * length,
            )
        )
    minari.create_dataset_from_buffers(
        "cartpole/test-v0",
        buffers,
        env="CartPole-v1",
        algorithm_name="random",
        eval_env="CartPole-v1",
        author="nobody",
        author_email="nobody@example.org",
        code_permalink="https://example.org",
        description="random",
    )
    total = 34

    data = read("cartpole/test-v0")
    assert data.num_episodes == 6
    assert data.reward.sum() == total == len(data)
    assert data.observation.shape == (total, 4)
    assert data.terminated.sum() == 6
    np.testing.assert_array_equal(data.observation[3], buffers[1].observations[0])
    assert data.metadata["action"] == {"kind": "discrete", "num_actions": 2}
    source = MinariDemonstrations("cartpole/test-v0", batch_size=16, val_fraction=0.34)
    assert source.num_training + source.num_validation == total
    found = source.fingerprint
    assert (found.source, found.file, found.rows) == ("cartpole/test-v0", None, total)
    with pytest.raises(DataError, match=r"no Minari dataset no/such-v0 .*cartpole/test-v0"):
        read("no/such-v0")


def arrays(**changes):
    count = 6
    metadata = {
        "schema": "poke.trajectories",
        "version": 1,
        "observation": {"dtype": "float32", "shape": [2]},
        "action": {"kind": "discrete", "num_actions": 3},
    }
    made = {
        "observation": np.ones((count, 2), np.float32),
        "action": np.array([0, 1, 2, 0, 1, 2]),
        "reward": np.ones(count, np.float32),
        "terminated": np.array([0, 0, 1, 0, 0, 1], bool),
        "truncated": np.zeros(count, bool),
        "episode": np.array([0, 0, 0, 1, 1, 1]),
        "player": np.zeros(count, np.int8),
        "timestep": np.array([0, 1, 2, 0, 1, 2], np.int32),
        "outcome": np.zeros(count, np.int8),
        "metadata": json.dumps(metadata),
    }
    return {**made, **changes}


def test_an_npz_archive_is_read(tmp_path):
    np.savez(tmp_path / "data.npz", **arrays())
    data = trajectories.read(tmp_path / "data.npz")
    assert data.action.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.action_mask is None
    source = Demonstrations(str(tmp_path / "data.npz"), batch_size=2, val_fraction=0.5)
    assert source.num_training == source.num_validation == 3


def test_a_wrong_npz_archive_is_refused_in_one_line(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays(action=np.array([0, 1, 3, 0, 1, 2])))
    with pytest.raises(DataError, match="action is not one of 0 to 2"):
        trajectories.read(path)
    np.savez(path, **{k: v for k, v in arrays().items() if k != "reward"})
    with pytest.raises(DataError, match="it has no array reward"):
        trajectories.read(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="no readable npz file"):
        trajectories.read(path)
