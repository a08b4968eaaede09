import json
import os
import stat
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poke.data import trajectories
from poke.data.files import assembling
from poke.data.trajectories import DataError, Trajectories


def make(lengths=(3, 2, 4), dtype="int8", shape=(5,), actions="discrete"):
    rng = np.random.default_rng(0)
    n = sum(lengths)
    last = np.isin(np.arange(n), np.cumsum(lengths) - 1)
    observation = rng.integers(0, 100, (n, *shape)).astype(dtype)
    if actions == "discrete":
        action, kind = rng.integers(0, 10, n), {"kind": "discrete", "num_actions": 10}
        mask = np.eye(10, dtype=bool)[action] | (rng.random((n, 10)) < 0.5)
    else:
        action, kind = rng.random((n, 2), dtype=np.float32), {"kind": "continuous", "shape": [2]}
        mask = None
    return Trajectories(
        observation=observation,
        action=action,
        action_mask=mask,
        reward=rng.random(n, dtype=np.float32),
        terminated=last,
        truncated=np.zeros(n, bool),
        episode=np.repeat(np.arange(len(lengths)), lengths),
        player=np.zeros(n, np.int8),
        timestep=np.concatenate([np.arange(k) for k in lengths]).astype(np.int32),
        outcome=np.ones(n, np.int8),
        metadata={
            "observation": {"dtype": dtype, "shape": list(shape)},
            "action": kind,
            "expert": "someone",
        },
    )


def assert_equal(one, other):
    for name in ("observation", "action", "action_mask", "reward", "terminated", "truncated"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("episode", "player", "timestep", "outcome"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_what_is_read_in_several_batches_is_what_was_written(tmp_path):
    written = make(lengths=(5000, 3001, 2500))
    trajectories.write(tmp_path / "long.parquet", written)
    assert_equal(trajectories.read(tmp_path / "long.parquet"), written)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"dtype": "uint8", "shape": (4, 3, 2)},
        {"dtype": "float32", "shape": (7,), "actions": "continuous"},
    ],
    ids=["int8", "pictures", "continuous"],
)
def test_what_is_written_is_read(tmp_path, form):
    written = make(**form)
    trajectories.write(tmp_path / "t.parquet", written)
    read = trajectories.read(tmp_path / "t.parquet")
    assert_equal(read, written)
    assert read.observation.dtype == written.observation.dtype
    assert read.action.dtype == (np.float32 if form.get("actions") else np.int64)
    assert read.metadata["expert"] == "someone"
    assert (len(read), read.num_episodes) == (9, 3)
    about = trajectories.read_metadata(tmp_path / "t.parquet")
    assert (about["schema"], about["version"]) == ("poke.trajectories", 2)


def test_any_parquet_reader_sees_a_row_a_step(tmp_path):
    written = make()
    trajectories.write(tmp_path / "t.parquet", written)
    table = pq.read_table(tmp_path / "t.parquet")
    row = table.slice(4, 1).to_pylist()[0]
    assert np.frombuffer(row["observation"], np.int8).tolist() == written.observation[4].tolist()
    assert row["action"] == written.action[4]
    assert (row["episode"], row["timestep"], row["terminated"]) == (1, 1, True)


def test_gaps_in_episode_numbers_are_closed(tmp_path):
    data = make()
    trajectories.write(tmp_path / "t.parquet", replace(data, episode=data.episode * 7 + 3))
    np.testing.assert_array_equal(trajectories.read(tmp_path / "t.parquet").episode, data.episode)


def test_joined_parts_are_numbered_on(tmp_path):
    parts = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    trajectories.write(parts[0], make((3, 2)))
    trajectories.write(parts[1], make((4,)))
    trajectories.join(parts[0], parts, {**make().metadata, "expert": "both"})
    whole = trajectories.read(parts[0])
    assert whole.episode.tolist() == [0] * 3 + [1] * 2 + [2] * 4
    assert whole.metadata["expert"] == "both"
    np.testing.assert_array_equal(whole.observation[5:], make((4,)).observation)


def test_parts_of_different_kinds_do_not_join(tmp_path):
    trajectories.write(tmp_path / "a.parquet", make())
    metadata = make(shape=(6,)).metadata
    with pytest.raises(DataError, match="another kind of observation"):
        trajectories.join(tmp_path / "t.parquet", [tmp_path / "a.parquet"], metadata)
    with pytest.raises(DataError, match="no parts"):
        trajectories.join(tmp_path / "t.parquet", [], metadata)
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def with_row(name, row, value):
    def damage(t):
        array = np.array(getattr(t, name))
        array[row] = value
        return replace(t, **{name: array})

    return damage


def with_mask_off(t):
    mask = t.action_mask.copy()
    mask[2, t.action[2]] = False
    return replace(t, action_mask=mask)


WRONG = {
    "illegal": (with_mask_off, r"action is illegal by its own mask \(row 2\)"),
    "too large": (with_row("action", 1, 10), r"action is not one of 0 to 9 \(row 1\)"),
    "negative": (with_row("action", slice(0, 2), -1), r"not one of 0 to 9 \(row 0 and 1 more\)"),
    "reward": (with_row("reward", 4, np.nan), r"reward is not finite \(row 4\)"),
    "outcome": (with_row("outcome", 0, 2), "outcome is not -1, 0 or 1"),
    "order": (with_row("timestep", 1, 5), r"timestep does not count up from 0 \(row 1\)"),
    "end": (with_row("terminated", 0, True), r"an episode goes on after its end \(row 0\)"),
    "empty": (lambda t: emptied(t), "it holds no steps"),
    "lengths": (lambda t: replace(t, reward=t.reward[:-1]), "reward has 8 rows, action 9"),
    "shape": (lambda t: replace(t, observation=t.observation[:, :4]), "observation has shape"),
}


def emptied(t):
    return replace(t, **{k: v[:0] for k, v in vars(t).items() if isinstance(v, np.ndarray)})


@pytest.mark.parametrize("fault", WRONG)
def test_data_that_cannot_be_is_not_written(tmp_path, fault):
    damage, line = WRONG[fault]
    with pytest.raises(DataError, match=line):
        trajectories.write(tmp_path / "t.parquet", damage(make()))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", ["illegal", "too large", "reward", "order", "empty"])
def test_data_that_cannot_be_is_not_read(tmp_path, fault, monkeypatch):
    damage, line = WRONG[fault]
    path = tmp_path / "t.parquet"
    with monkeypatch.context() as unchecked:
        unchecked.setattr(assembling, "check", lambda t: None)
        if fault == "empty":
            table = pq.read_table(written(path))
            pq.write_table(table.slice(0, 0), path)
        else:
            trajectories.write(path, damage(make()))
    with pytest.raises(DataError, match=line) as refused:
        trajectories.read(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_nan_in_observations_is_refused(tmp_path):
    data = make(dtype="float32")
    data.observation[3, 1] = np.nan
    with pytest.raises(DataError, match=r"observation is not finite \(row 3\)"):
        trajectories.write(tmp_path / "t.parquet", data)


def written(path):
    trajectories.write(path, make())
    return path


def edit_metadata(path, **changes):
    table = pq.read_table(written(path))
    block = json.loads(table.schema.metadata[b"poke"])
    block.update(changes)
    pq.write_table(table.replace_schema_metadata({"poke": json.dumps(block)}), path)


def test_other_versions_and_schemas_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    edit_metadata(path, version=3)
    with pytest.raises(DataError, match="its schema is version 3; this poke reads versions 1 to 2"):
        trajectories.read(path)
    edit_metadata(path, schema="poke.recipes")
    with pytest.raises(DataError, match=r"it holds poke\.recipes"):
        trajectories.read(path)
    edit_metadata(path, action={"kind": "discrete"})
    with pytest.raises(DataError, match="does not say what its observations and actions are"):
        trajectories.read(path)
    edit_metadata(path, observation={"dtype": "int8", "shape": [6]})
    with pytest.raises(DataError, match=r"column observation is .* not 6 bytes"):
        trajectories.read(path)


def test_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(DataError, match="no such file"):
        trajectories.read(path)
    path.write_bytes(b"not parquet at all, not even nearly")
    with pytest.raises(DataError, match="is no readable Parquet file") as refused:
        trajectories.read(path)
    assert "\n" not in str(refused.value)
    pq.write_table(pa.table({"a": [1, 2]}), path)
    with pytest.raises(DataError, match="it holds no trajectories"):
        trajectories.read(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = written(tmp_path / "t.parquet")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="is no readable Parquet file"):
        trajectories.read(path)


def test_missing_and_mistyped_columns_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    table = pq.read_table(written(path))
    pq.write_table(table.drop_columns(["reward"]), path)
    with pytest.raises(DataError, match="it has no reward"):
        trajectories.read(path)
    pq.write_table(table.drop_columns(["observation"]), path)
    with pytest.raises(DataError, match="it has no observation"):
        trajectories.read(path)
    index = table.column_names.index("reward")
    pq.write_table(table.set_column(index, "reward", pa.array(["1"] * 9)), path)
    with pytest.raises(DataError, match="column reward is string, not numbers"):
        trajectories.read(path)
    pq.write_table(
        table.set_column(index, "reward", pa.array([None] + [1.0] * 8, pa.float32())), path
    )
    with pytest.raises(DataError, match="column reward has empty cells"):
        trajectories.read(path)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = written(tmp_path / "t.parquet")
    before = path.read_bytes()

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        trajectories.write(path, make((1,)))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_the_file_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    path = written(tmp_path / "t.parquet")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_samples_are_found_by_name():
    assert trajectories.locate("sample:gen1randombattle").is_file()
    assert str(trajectories.locate("some/file.parquet")) == "some/file.parquet"
    with pytest.raises(DataError, match=r"no sample gen2 is shipped .*there are: gen1randombattle"):
        trajectories.locate("sample:gen2")
