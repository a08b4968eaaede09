from dataclasses import replace

import numpy as np
import pytest

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.data.files.assembling import assemble
from poke.data.files.described import DataError
from poke.data.files.fingerprint import identify
from poke.data.files.several import paths_of, read_all


def recorded(rows, first=0, **changes):
    """Episodes of three rows each; every observation is its row's number, from `first` on."""
    number = np.arange(first, first + rows)
    about = {
        "observation": {"dtype": "uint8", "shape": [1]},
        "action": {"kind": "discrete", "num_actions": 3},
        **changes.pop("about", {}),
    }
    arrays = {
        "observation": number.astype(np.uint8)[:, None],
        "action": number % 3,
        "action_mask": np.ones((rows, 3), bool),
        "reward": np.zeros(rows, np.float32),
        "terminated": np.arange(rows) % 3 == 2,
        **changes,
    }
    return assemble(arrays, about)


@pytest.fixture
def files(tmp_path):
    sizes = (30, 60, 15)
    paths = [str(tmp_path / f"{name}.parquet") for name in "abc"]
    for path, rows, first in zip(paths, sizes, np.cumsum([0, *sizes[:-1]]), strict=True):
        trajectories.write(path, recorded(rows, int(first)))
    return paths


def sides(path):
    source = Demonstrations(path, batch_size=1000, val_fraction=0.3)
    held_out = [b.observation.flatten().tolist() for b in source.validation_batches(1000)]
    return set(source.sample().observation.flatten().tolist()), {x for b in held_out for x in b}


def test_several_files_are_served_as_one(files):
    training, held_out = sides(files)
    assert training | held_out == set(range(105))
    assert not training & held_out
    data, episodes = read_all(files)
    assert episodes == [10, 20, 5]
    assert data.episode.tolist() == [row // 3 for row in range(105)]


def test_a_file_holds_out_the_same_whatever_else_is_trained_on(files):
    together = sides(files)[1]
    assert together == set.union(*(sides(file)[1] for file in files))


def test_one_file_is_the_same_alone_and_in_a_list(files):
    alone, listed = identify(files[0], 0.3), identify(files[:1], 0.3)
    assert alone.change(listed) is None
    assert alone.file == listed.file


def test_what_each_file_holds_and_their_order_count(files):
    began = identify(files, 0.3)
    assert began == Demonstrations(files, batch_size=8, val_fraction=0.3).fingerprint
    assert (began.rows, began.episodes) == (105, 35)
    assert "other data than" in began.change(identify(files[::-1], 0.3))
    assert "other data than" in began.change(identify(files[:2], 0.3))
    trajectories.write(files[1], recorded(60, 40))
    assert identify(files, 0.3).file != began.file
    line = began.change(identify(files, 0.3))
    assert line.startswith(f"{' + '.join(files)} has changed since the run began: 105 rows")


def test_agents_are_named_by_the_whole(files):
    for file, names in zip(files, (["x", "y"], ["z", "x"], ["y"]), strict=True):
        data = trajectories.read(file)
        numbers = (np.arange(len(data)) // 3 % len(names)).astype(np.int16)
        trajectories.write(
            file, replace(data, agent=numbers, metadata={**data.metadata, "agents": names})
        )
    data, _ = read_all(files)
    who = [data.metadata["agents"][number] for number in data.agent[::3]]
    assert who == ["x", "y"] * 5 + ["z", "x"] * 10 + ["y"] * 5


def test_what_was_recorded_is_known_beside_what_was_imported(files):
    trajectories.write(
        files[2],
        recorded(15, action=np.full(15, -1), marks=np.array([[0, 1, 7, 0]] * 15, np.uint8)),
    )
    data, _ = read_all(files)
    assert data.is_chosen.tolist() == [True] * 90 + [False] * 15
    assert data.is_known(slice(80, 100))[:, 0].tolist() == [True] * 10 + [False] * 10


ANOTHER = {
    "observation": {"observation": np.zeros((6, 2), np.uint8)},
    "action": {"action_mask": np.ones((6, 4), bool)},
    "layout": {},
    "mask": {"action_mask": None},
}


@pytest.mark.parametrize("kind", ANOTHER)
def test_a_file_of_another_kind_is_refused_by_name(files, tmp_path, kind):
    about = {
        "observation": {"observation": {"dtype": "uint8", "shape": [2]}},
        "action": {"action": {"kind": "discrete", "num_actions": 4}},
        "layout": {"layout": {"actions": [], "version": 7}},
    }.get(kind, {})
    other = str(tmp_path / "other.parquet")
    trajectories.write(other, recorded(6, about=about, **ANOTHER[kind]))
    with pytest.raises(DataError) as refused:
        read_all([files[0], other])
    said = f"{other} holds another kind of {kind} than {files[0]}"
    if kind == "mask":
        said = f"{files[0]} says which actions were legal, {other} does not"
    assert str(refused.value) == said


def test_none_and_the_same_twice_are_refused(files):
    with pytest.raises(DataError, match=r"data\.path=\[\] names no file"):
        paths_of([])
    with pytest.raises(DataError, match=r"a\.parquet is named twice"):
        paths_of([*files, files[0]])
