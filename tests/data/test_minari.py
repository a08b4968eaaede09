import numpy as np
import pytest

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
