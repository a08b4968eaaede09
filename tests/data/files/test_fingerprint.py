import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.data.files import fingerprint
from poke.data.files.fingerprint import Fingerprint, file_digest, held_out, identify
from poke.data.trajectories import DataError, Trajectories


def recorded(num_episodes=20, length=7, masked=True):
    n = num_episodes * length
    rng = np.random.default_rng(0)
    action = rng.integers(0, 3, n)
    return Trajectories(
        observation=np.arange(n, dtype=np.float32)[:, None],
        action=action,
        action_mask=np.eye(3, dtype=bool)[action] if masked else None,
        reward=np.zeros(n, np.float32),
        terminated=np.arange(n) % length == length - 1,
        truncated=np.zeros(n, bool),
        episode=np.arange(n) // length,
        player=np.zeros(n, np.int8),
        timestep=(np.arange(n) % length).astype(np.int32),
        outcome=np.zeros(n, np.int8),
        metadata={
            "observation": {"dtype": "float32", "shape": [1]},
            "action": {"kind": "discrete", "num_actions": 3},
        },
    )


@pytest.fixture
def path(tmp_path):
    trajectories.write(tmp_path / "data.parquet", recorded())
    return str(tmp_path / "data.parquet")


def read(path, val_fraction=0.25):
    return Demonstrations(path, batch_size=8, val_fraction=val_fraction).fingerprint


def test_what_is_trained_on_and_what_is_identified_from_the_path_agree(path):
    found = read(path)
    assert found == identify(path, 0.25)
    assert (found.source, found.rows, found.episodes) == (path, 140, 20)
    assert found.file == file_digest(path)


def test_it_survives_json(path):
    found = read(path)
    assert Fingerprint.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(DataError, match="it has no split"):
        Fingerprint.from_dict({k: v for k, v in found.to_dict().items() if k != "split"})


@pytest.mark.parametrize(
    "name",
    ["observation", "action", "reward", "terminated", "truncated", "player", "timestep", "episode"],
)
def test_every_array_counts(name):
    data = recorded(masked=False)
    array = getattr(data, name).copy()
    array[3] = not array[3] if array.dtype == bool else array[3] + 1
    before = fingerprint.fingerprint(data, "a", 0.25)
    now = fingerprint.fingerprint(replace(data, **{name: array}), "a", 0.25)
    assert now.content != before.content


def test_a_mask_counts_and_so_do_dtype_and_shape():
    data = recorded()
    wide = replace(data, observation=data.observation.astype(np.float64))
    tall = replace(data, observation=data.observation[:, :, None])
    kinds = [data, replace(data, action_mask=None), wide, tall]
    assert len({fingerprint.fingerprint(d, "a", 0.25).content for d in kinds}) == 4


def test_the_same_rows_in_another_file_are_no_change(path, tmp_path):
    began = read(path)
    trajectories.write(path, recorded(), compression_level=1)
    assert read(path).file != began.file
    assert began.change(read(path)) is None
    trajectories.write(tmp_path / "copy.parquet", recorded())
    assert began.change(read(str(tmp_path / "copy.parquet"))) is None


def test_a_view_of_the_rows_has_the_rows_fingerprint():
    data = recorded()
    reordered = replace(data, action_mask=np.asfortranarray(data.action_mask))
    assert not reordered.action_mask.flags.c_contiguous
    assert fingerprint.fingerprint(reordered, "a", 0.25) == fingerprint.fingerprint(data, "a", 0.25)


def test_other_rows_are_named_with_both_fingerprints(path, tmp_path):
    began = read(path)
    trajectories.write(path, recorded(1000))
    now = read(path)
    assert began.change(now) == (
        f"{path} has changed since the run began: 140 rows (content {began.content[:8]}) then, "
        f"7,000 rows (content {now.content[:8]}) now"
    )
    other = replace(now, source="other.parquet")
    assert began.change(other).startswith(
        f"other.parquet holds other data than {path}, with which the run began: 140 rows"
    )


def test_another_split_of_the_same_rows_is_named(path):
    began, now = read(path), read(path, 0.5)
    assert began.content == now.content
    assert began.change(now) == (
        f"{path} holds out other episodes than when the run began: "
        f"split {began.split[:8]} then, {now.split[:8]} now"
    )


def test_a_known_files_rows_are_not_read_again(path, monkeypatch):
    known = identify(path, 0.25)
    monkeypatch.setattr(trajectories, "read", None)
    assert identify(path, 0.25, known=known) == known
    assert known.change(identify(path, 0.5, known=known)).startswith(f"{path} holds out other")


def test_a_changed_files_rows_are_read_whatever_was_known(path):
    known = identify(path, 0.25)
    trajectories.write(path, recorded(30))
    assert identify(path, 0.25, known=known) == read(path) != known


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"gone\.parquet: no such file$"):
        identify(tmp_path / "gone.parquet", 0.25)


def test_data_in_memory_has_no_file():
    found = Demonstrations(recorded(), batch_size=8, val_fraction=0.25).fingerprint
    assert (found.file, found.source, found.rows) == (None, "the data", 140)


def test_identifying_imports_no_torch(path):
    code = (
        f"import sys; from poke.data.files.fingerprint import identify; identify({path!r}, 0.1); "
    )
    done = subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"])
    assert done.returncode == 0


@pytest.mark.parametrize("seed", range(20))
def test_appended_episodes_leave_the_old_ones_on_their_side(seed):
    rng = np.random.default_rng(seed)
    fraction, sizes = rng.uniform(0.001, 0.9), np.sort(rng.integers(1, 5000, 2))
    before, after = (held_out([int(size)], fraction) for size in sizes)
    assert np.array_equal(after[: len(before)], before)


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.1, 0.25, 0.5, 0.9])
def test_every_stretch_of_episodes_has_its_share(fraction):
    chosen = held_out([5000], fraction)
    excess = np.concatenate([[0], np.cumsum(chosen - fraction)])
    assert excess.max() - excess.min() < 4  # of any stretch, from the share exactly


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("num_episodes", [2, 3, 10, 47, 2700])
def test_both_sides_have_episodes(num_episodes, fraction):
    chosen = held_out([num_episodes], fraction)
    assert chosen[0]
    assert not chosen.all()


def test_the_ends_of_the_scale():
    assert not held_out([100], 0.0).any()
    assert held_out([100], 1.0).all()
    assert held_out([100], 1e-18).sum() == 1


def test_which_episodes_are_held_out_is_the_same_everywhere():
    exact = [i for i in range(500) if i * 11400714819323198485 % 2**64 < 0.1 * 2**64]
    assert np.flatnonzero(held_out([500], 0.1)).tolist() == exact


def test_a_grown_recording_keeps_its_held_out_decisions(path):
    def kept_back(source):
        batches = source.validation_batches(64)
        return {int(x) for batch in batches for x in batch.observation.flatten()}

    before = kept_back(Demonstrations(path, batch_size=8, val_fraction=0.25))
    trajectories.write(path, recorded(21))
    after = kept_back(Demonstrations(path, batch_size=8, val_fraction=0.25))
    assert before == {row for row in after if row < 140}
