"""Data as people have it, from npz archives and Parquet files alike: taken, or refused in one line."""

import json
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.data.files.assembling import assemble
from poke.data.files.checking import check
from poke.data.files.described import DataError, described
from poke.data.files.steps import Trajectories
from poke.spaces import ActionSpace, Entry, ObservationSpace

DISCRETE = {"kind": "discrete", "num_actions": 3}


def arrays(**changes):
    """Two episodes of three steps; None leaves an array out."""
    count = 6
    made = {
        "observation": np.arange(2 * count, dtype=np.float32).reshape(count, 2),
        "action": np.array([0, 1, 2, 0, 1, 2]),
        "action_mask": np.ones((count, 3), bool),
        "reward": np.ones(count, np.float32),
        "terminated": np.array([0, 0, 1, 0, 0, 1], bool),
        "truncated": np.zeros(count, bool),
        "episode": np.array([0, 0, 0, 1, 1, 1]),
        "player": np.zeros(count, np.int8),
        "timestep": np.array([0, 1, 2, 0, 1, 2], np.int32),
        "outcome": np.zeros(count, np.int8),
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def metadata(observation=None, action=None):
    kinds = {"observation": observation or {"dtype": "float32", "shape": [2]}}
    return {**kinds, "action": action or DISCRETE}


def save(path, columns, about):
    """Write what poke itself would not, in either format."""
    block = json.dumps({"schema": "poke.trajectories", "version": 1, **about})
    if path.suffix == ".npz":
        np.savez(path, **columns, metadata=block)
        return path
    table = {}
    for name, array in columns.items():
        if name == "action_mask":
            array = np.packbits(array.astype(bool), axis=1, bitorder="little")
        if array.ndim > 1:
            rows = [row.tobytes() for row in array]
            table[name] = pa.array(rows, pa.binary(len(rows[0])))
        else:
            table[name] = pa.array(array.tolist() if array.dtype.kind == "U" else array)
    pq.write_table(pa.table(table).replace_schema_metadata({"poke": block}), path)
    return path


@pytest.fixture(params=["t.npz", "t.parquet"])
def path(request, tmp_path):
    return tmp_path / request.param


def assert_same(read, wanted):
    for f in fields(Trajectories):
        one, other = getattr(read, f.name), getattr(wanted, f.name)
        if isinstance(other, np.ndarray):
            assert one.dtype == other.dtype, f.name
            np.testing.assert_array_equal(one, other, err_msg=f.name)


AS_PEOPLE_HAVE_IT = {
    "int32 actions": {"action": np.array([0, 1, 2, 0, 1, 2], np.int32)},
    "uint8 actions": {"action": np.array([0, 1, 2, 0, 1, 2], np.uint8)},
    "float64 rewards": {"reward": np.ones(6)},
    "whole rewards": {"reward": np.ones(6, np.int64)},
    "ends as numbers": {"terminated": np.array([0, 0, 1, 0, 0, 1], np.uint8)},
    "ends as floats": {"terminated": np.array([0, 0, 1, 0, 0, 1], np.float64)},
    "int64 everywhere": {n: np.zeros(6, np.int64) for n in ("player", "outcome", "truncated")},
    "int64 timesteps": {"timestep": np.array([0, 1, 2, 0, 1, 2])},
    "gaps": {"episode": np.array([7, 7, 7, 400, 400, 400])},
    "unordered ids": {"episode": np.array([9, 9, 9, -2, -2, -2])},
    "huge ids": {"episode": np.array([2**60] * 3 + [5] * 3)},
    "text": {"episode": np.array(["zeta"] * 3 + ["alpha"] * 3)},
    "no outcome": {"outcome": None},
    "no player": {"player": None},
    "no timestep": {"timestep": None},
    "no truncated": {"truncated": None},
    "nothing optional": dict.fromkeys(["outcome", "player", "timestep", "truncated", "episode"]),
}


@pytest.mark.parametrize("form", AS_PEOPLE_HAVE_IT)
def test_data_as_people_have_it_is_taken(path, form):
    wanted = assemble(arrays(), metadata())
    given = arrays(**AS_PEOPLE_HAVE_IT[form])
    assert_same(trajectories.read(save(path, given, metadata())), wanted)


@pytest.mark.parametrize(
    "mask", [np.ones((6, 3), np.uint8), np.ones((6, 3)), np.ones((6, 3), np.int64)]
)
def test_masks_are_ones_and_zeros_of_any_kind(tmp_path, mask):
    read = trajectories.read(save(tmp_path / "t.npz", arrays(action_mask=mask), metadata()))
    assert read.action_mask.dtype == bool
    assert read.action_mask.all()


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("float64", "float32"),
        ("int64", "float32"),
        ("int32", "float32"),
        ("uint16", "float32"),
        ("bool", "int8"),
        ("uint8", "uint8"),
        ("int16", "int16"),
        ("float16", "float16"),
    ],
)
def test_observations_are_kept_in_a_dtype_that_holds_them(tmp_path, dtype, kept):
    observation = (np.arange(12).reshape(6, 2) % 2).astype(dtype)
    about = metadata({"dtype": dtype, "shape": [2]})
    read = trajectories.read(save(tmp_path / "t.npz", arrays(observation=observation), about))
    assert (str(read.observation.dtype), read.metadata["observation"]["dtype"]) == (kept, kept)
    np.testing.assert_array_equal(read.observation, observation)
    trajectories.write(tmp_path / "t.parquet", read)
    assert_same(trajectories.read(tmp_path / "t.parquet"), read)


WRONG = {
    "action": ({"action": np.array([0, 1, 3, 0, 1, 2])}, r"action is not one of 0 to 2 \(row 2\)"),
    "halves": ({"action": np.array([0, 0.5, 0, 0, 0, 0])}, r"action is not whole numbers .*row 1"),
    "reward": ({"reward": np.array([1, np.inf, 1, 1, 1, 1])}, r"reward is not finite \(row 1\)"),
    "overflow": ({"reward": np.full(6, 1e300)}, "reward is not finite"),
    "twos": ({"terminated": np.full(6, 2)}, "terminated is not true or false"),
    "player": ({"player": np.full(6, 300)}, "player is not whole numbers of int8"),
    "outcome": ({"outcome": np.full(6, 2)}, "outcome is not -1, 0 or 1"),
    "again": ({"episode": np.array([1, 1, 1, 2, 2, 1]), "timestep": None}, "goes on after its end|comes up again"),
    "scattered": (
        {
            "episode": np.array([1, 2, 1, 2, 1, 2]),
            "timestep": None,
            "terminated": np.zeros(6, bool),
        },
        r"an episode comes up again after another \(row 2 and 3 more\)",
    ),
    "nan": ({"episode": np.array([0, 0, 0, np.nan, 1, 1])}, r"episode is not finite \(row 3\)"),
    "missing": ({"reward": None}, "it has no reward"),
    "no ends": ({"terminated": None}, "it has no terminated"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_what_cannot_be_is_refused_in_one_line_whatever_the_format(path, fault):
    changes, line = WRONG[fault]
    save(path, arrays(**changes), metadata())
    with pytest.raises(DataError, match=line) as refused:
        trajectories.read(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


WRONG_ARRAYS = {
    "mask width": ({"action_mask": np.ones((6, 4), bool)}, r"action_mask has shape \[6, 4\], not \[6, 3\]"),
    "mask values": ({"action_mask": np.full((6, 3), 2)}, "action_mask is not true or false"),
    "forbidden": ({"action_mask": np.zeros((6, 3), bool)}, "action is illegal by its own mask"),
    "reward shape": ({"reward": np.ones((6, 1))}, r"reward has shape \[6, 1\], not \[6\]"),
    "episode shape": ({"episode": np.ones((6, 2))}, r"episode has shape \[6, 2\], not \[6\]"),
    "rows": ({"reward": np.ones(5)}, "reward has 5 rows, action 6"),
    "one number": ({"reward": np.float32(1)}, "reward has 0 rows, action 6"),
    "text": ({"reward": np.array(["a"] * 6)}, "reward is <U1, not numbers"),
    "observation": ({"observation": np.ones((6, 3), np.float32)}, r"observation has shape \(3,\)"),
    "too large": ({"observation": np.full((6, 2), 2**40 + 1)}, "observation is too large"),
    "empty": ({name: array[:0] for name, array in arrays().items()}, "it holds no steps"),
    "no episode": ({"episode": None}, "it has no episode, which the steps of several players need"),
    "days": ({"episode": np.full(6, "2024-01-01", "datetime64[D]")}, "episode is datetime64.* not numbers or text"),
    "no rows": ({"final_observation": np.ones((1, 2))}, "it has no final_rows, which final_observation needs"),
    "two masks": (
        {
            "terminated": np.array([0, 0, 0, 0, 0, 1], bool),
            "truncated": np.array([0, 0, 1, 0, 0, 0], bool),
            "final_rows": np.array([2]),
            "final_observation": np.ones((1, 2), np.float32),
            "final_action_mask": np.ones((2, 3), bool),
        },
        "final_action_mask has 2 rows, not 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG_ARRAYS)
def test_arrays_of_a_wrong_shape_are_refused_in_one_line(tmp_path, fault):
    changes, line = WRONG_ARRAYS[fault]
    save(tmp_path / "t.npz", arrays(**changes), metadata())
    with pytest.raises(DataError, match=line) as refused:
        trajectories.read(tmp_path / "t.npz")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("agent", "line"),
    [
        (np.array(["a", "b", "a", "b", "c", "c"]), "agent c is none of the metadata's agents"),
        (np.zeros(6, np.int16), "column agent is no text"),
    ],
)
def test_agents_are_those_of_the_metadata(tmp_path, agent, line):
    path = save(tmp_path / "t.parquet", arrays(agent=agent), {**metadata(), "agents": ["a", "b"]})
    with pytest.raises(DataError, match=line):
        trajectories.read(path)


def test_an_archive_need_not_say_what_its_arrays_show(tmp_path):
    np.savez(tmp_path / "t.npz", **arrays(action_mask=None))
    read = trajectories.read(tmp_path / "t.npz")
    assert read.action_space == ActionSpace.discrete(3)
    assert (read.observation_space.shape, str(read.observation_space.dtype)) == ((2,), "float32")
    np.savez(tmp_path / "t.npz", **arrays(action=np.zeros(6, int)))
    assert trajectories.read(tmp_path / "t.npz").action_space.sizes == (3,)  # by the mask
    np.savez(tmp_path / "t.npz", **arrays(action_mask=None, action=np.ones((6, 4))))
    assert trajectories.read(tmp_path / "t.npz").action_space.action_shape == (4,)
    np.savez(tmp_path / "t.npz", **arrays(action_mask=None, action=np.ones((6, 2), int)))
    assert trajectories.read(tmp_path / "t.npz").action_space.sizes == (2, 2)


def test_an_archive_that_is_none_is_refused(tmp_path):
    (tmp_path / "t.npz").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="no readable npz file"):
        trajectories.read(tmp_path / "t.npz")
    np.savez(tmp_path / "t.npz", weights=np.ones(3))
    with pytest.raises(DataError, match="it has no observation"):
        trajectories.read(tmp_path / "t.npz")


def test_an_archive_is_learned_from(tmp_path):
    save(tmp_path / "t.npz", arrays(action=np.array([0, 1, 2, 0, 1, 2], np.int32)), metadata())
    source = Demonstrations(str(tmp_path / "t.npz"), batch_size=2, val_fraction=0.5)
    assert source.num_training == source.num_validation == 3


PACKED = ObservationSpace(
    (
        Entry(("picture",), "box", (2, 3), "uint8"),
        Entry(("place", 0), "box", (3,), "float32"),
        Entry(("choice",), "discrete", (), sizes=(4,), starts=(1,)),
    )
)
ACTIONS = {
    "discrete": (ActionSpace.discrete(5, start=2), np.array([0, 1, 2, 3, 4, 0])),
    "many": (ActionSpace.discrete(100_000), np.array([99_999, 0, 0, 0, 0, 0])),
    "multi_discrete": (
        ActionSpace("multi_discrete", (3, 2), (0, 5), (2,)),
        np.array([[0, 1], [2, 0], [1, 1], [0, 0], [2, 1], [1, 0]]),
    ),
    "multi_binary": (
        ActionSpace("multi_binary", (2, 2, 2, 2), (0,) * 4, (2, 2)),
        np.eye(6, 4, dtype=np.int64),
    ),
    "continuous": (
        ActionSpace.continuous_box((2, 3), -1.0, 2.0),
        np.linspace(-1, 1, 36, dtype=np.float32).reshape(6, 6),
    ),
}


def packed_rows():
    rows = PACKED.empty(6)
    observation = {
        "picture": np.arange(36, dtype=np.uint8).reshape(6, 2, 3),
        "place": (np.linspace(0, 1, 18, dtype=np.float32).reshape(6, 3),),
        "choice": np.array([1, 2, 3, 4, 1, 2]),
    }
    PACKED.write(observation, rows)
    return rows


@pytest.mark.parametrize("kind", ACTIONS)
def test_spaces_of_every_kind_are_written_and_read_back(tmp_path, kind):
    space, action = ACTIONS[kind]
    given = arrays(observation=packed_rows(), action=action, action_mask=None)
    if space.mask_size and space.mask_size < 100:
        given["action_mask"] = np.ones((6, space.mask_size), bool)
    written = assemble(given, described(PACKED, space))
    trajectories.write(tmp_path / "t.parquet", written)
    read = trajectories.read(tmp_path / "t.parquet")
    assert_same(read, written)
    assert (read.observation_space, read.action_space) == (PACKED, space)


@pytest.mark.parametrize(
    ("action", "space"),
    [
        ({"kind": "multi_discrete", "sizes": [3, 2]}, ("multi_discrete", (3, 2))),
        ({"kind": "multi_binary", "sizes": [2, 2]}, ("multi_binary", (2, 2))),
    ],
)
def test_several_choices_need_no_space(path, action, space):
    given = arrays(action=np.array([[0, 1], [1, 0]] * 3, np.int32), action_mask=None)
    read = trajectories.read(save(path, given, metadata(action=action)))
    assert (read.action_space.kind, read.action_space.sizes) == space
    assert read.action.dtype == np.int64
    given["action"] = given["action"] + 2
    with pytest.raises(DataError, match="action is not one of"):
        trajectories.read(save(path, given, metadata(action=action)))


def test_a_mask_of_several_choices_is_checked_choice_by_choice():
    space, action = ACTIONS["multi_discrete"]
    mask = np.ones((6, 5), bool)
    mask[1, 3] = False  # the second choice's first, which row 1 takes
    with pytest.raises(DataError, match=r"action is illegal by its own mask \(row 1\)"):
        assemble(
            arrays(observation=packed_rows(), action=action, action_mask=mask),
            described(PACKED, space),
        )


def test_an_observations_parts_are_checked():
    about = described(PACKED, ActionSpace.discrete(3))
    rows = packed_rows()
    PACKED.numbers(rows)[2, 1] = np.nan
    with pytest.raises(DataError, match=r"observation is not finite \(row 2\)"):
        assemble(arrays(observation=rows), about)
    rows = packed_rows()
    place = PACKED.fields[2]
    rows[4, place.offset] = 200
    with pytest.raises(DataError, match=r"choice is none of its choices \(row 4\)"):
        assemble(arrays(observation=rows), about)


@pytest.mark.parametrize(
    ("block", "change", "line"),
    [
        ("observation", {"shape": [5]}, "says two things of its observations"),
        ("observation", {"space": {"entries": []}}, "says two things of its observations"),
        ("observation", {"space": 3}, "says two things of its observations"),
        ("observation", {"dtype": "U3"}, "does not say what its observations and actions are"),
        ("observation", {"shape": [-1]}, "does not say what"),
        ("action", {"num_actions": 4}, "says two things of its actions"),
        ("action", {"kind": "continuous"}, "says two things of its actions"),
        ("action", {"space": {"kind": "discrete"}}, "does not say what"),
        ("action", {"kind": "spoken", "space": None}, "does not say what"),
    ],
)
def test_metadata_that_contradicts_itself_is_refused_in_one_line(tmp_path, block, change, line):
    about = described(PACKED, ActionSpace.discrete(3))
    about[block] = {**about[block], **change}
    save(tmp_path / "t.npz", arrays(observation=packed_rows()), about)
    with pytest.raises(DataError, match=line) as refused:
        trajectories.read(tmp_path / "t.npz")
    assert "\n" not in str(refused.value)


def test_generated_faults_are_refused_in_one_line_or_taken():
    """Any array in any column's place: read, or one line; never anything else."""
    rng = np.random.default_rng(0)
    kinds = ["int8", "uint64", "float16", "float64", "bool", "complex64", "U3"]
    for _ in range(200):
        name = rng.choice(list(arrays()))
        shape = [(6,), (6, 1), (6, 2), (5,), (), (6, 2, 2)][rng.integers(6)]
        array = rng.integers(-3, 4, shape).astype(kinds[rng.integers(len(kinds))])
        assert "\n" not in answer(arrays(**{name: array}))


def answer(given):
    """The line that data is refused in; nothing where it is taken."""
    try:
        assemble(given, metadata())
    except DataError as error:
        return str(error)
    return ""


def test_what_was_assembled_is_what_it_was():
    one = assemble(arrays(), metadata())
    again = assemble(vars(replace(one)) | {"metadata": None}, one.metadata)
    assert_same(again, one)


def imported(**changes):
    """Steps of which not all is known: observations of two bytes, one of three choices."""
    return assemble(
        arrays(
            observation=np.arange(12, dtype=np.int8).reshape(6, 2),
            action=np.array([0, -1, 2, 0, 1, -1]),
            # Known and filled bytes, then known and filled bits of the mask.
            marks=np.array([[0b01, 0b10, 0b111, 0]] * 3 + [[0b11, 0, 0b001, 0b110]] * 3, np.uint8),
            **changes,
        ),
        metadata({"dtype": "int8", "shape": [2]}),
    )


def test_what_is_not_known_is_written_and_read_back(tmp_path, path):
    wanted = imported()
    if path.suffix == ".npz":
        save(
            path,
            {
                f.name: column
                for f in fields(wanted)
                if f.name != "metadata" and (column := getattr(wanted, f.name)) is not None
            },
            wanted.metadata,
        )
    else:
        trajectories.write(path, wanted)
    found = trajectories.read(path)
    assert_same(found, wanted)
    assert found.is_chosen.tolist() == [True, False, True, True, True, False]
    assert found.is_known(slice(2, 4)).tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"marks": np.zeros((6, 3), np.uint8)}, r"marks has shape \[6, 3\], not \[6, 4\]"),
        ({"marks": None}, r"action is not one of 0 to 2 \(row 1 and 1 more\)"),
    ],
)
def test_marks_that_cannot_be_are_refused(changes, line):
    known = imported()
    with pytest.raises(DataError, match=line):
        check(replace(known, **changes))


@pytest.mark.parametrize(
    "made", [imported, lambda: assemble(arrays()), lambda: imported(action_mask=None)]
)
def test_some_rows_have_every_column_of_theirs(made):
    whole = made()
    some = whole.select(whole.episode == 1)
    check(replace(some, episode=some.episode - 1))
    for f in fields(Trajectories):
        one, all_of_it = getattr(some, f.name), getattr(whole, f.name)
        if isinstance(all_of_it, np.ndarray):
            np.testing.assert_array_equal(one, all_of_it[3:], err_msg=f.name)
        else:
            assert one == all_of_it
