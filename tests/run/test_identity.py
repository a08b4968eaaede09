"""Has the data that a finished run was trained on changed since? As a sweep asks before it skips a job."""

import numpy as np
import pytest

from poke.data import trajectories
from poke.data.files.assembling import assemble
from poke.data.files.fingerprint import identify
from poke.run.identity import change_since


def write(path, first):
    """Write ten episodes of three rows each, which begin with this observation."""
    number = np.arange(30)
    arrays = {
        "observation": (first + number).astype(np.float32)[:, None],
        "action": number % 2,
        "action_mask": np.ones((30, 2), bool),
        "reward": np.zeros(30, np.float32),
        "terminated": number % 3 == 2,
    }
    about = {
        "observation": {"dtype": "float32", "shape": [1]},
        "action": {"kind": "discrete", "num_actions": 2},
    }
    trajectories.write(path, assemble(arrays, about))


@pytest.fixture(params=["a.parquet", ["a.parquet", "b.parquet", "c.parquet"]], ids=["one", "three"])
def trained_on(request, tmp_path, monkeypatch):
    """The paths of a run's data, relative to where it was begun."""
    names = request.param if isinstance(request.param, list) else [request.param]
    for first, name in enumerate(names):
        write(tmp_path / name, 100 * first)
    monkeypatch.chdir(tmp_path)
    return request.param


def test_the_same_files_have_not_changed_wherever_they_are_asked_for(trained_on, tmp_path):
    recorded = identify(trained_on, 0.3).to_dict()
    assert change_since(recorded, [str(tmp_path)]) is None
    assert change_since(recorded, ["/nowhere", str(tmp_path)]) is None


def test_each_file_counts(trained_on, tmp_path):
    recorded = identify(trained_on, 0.3).to_dict()
    for name in sorted(path.name for path in tmp_path.iterdir()):
        kept = (tmp_path / name).read_bytes()
        write(tmp_path / name, 1000)
        line = change_since(recorded, ["/nowhere", str(tmp_path)])
        assert line is not None
        assert "has changed since the run began: " in line
        (tmp_path / name).write_bytes(kept)
        assert change_since(recorded, [str(tmp_path)]) is None


def test_one_that_cannot_be_read_is_told_of_and_one_that_is_gone_is_not(trained_on, tmp_path):
    recorded = identify(trained_on, 0.3).to_dict()
    last = sorted(tmp_path.iterdir())[-1]
    last.write_bytes(b"nothing")
    assert last.name in change_since(recorded, [str(tmp_path)])
    last.unlink()
    assert change_since(recorded, [str(tmp_path)]) is None


def test_data_that_is_no_file_does_not_change():
    assert change_since(None, []) is None
