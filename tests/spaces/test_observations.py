import numpy as np
import pytest

from poke.spaces import Entry, ObservationSpace, SpaceError

CAMERA = Entry(("camera",), "box", (2, 2, 3), "uint8", 0, 255)
SPEED = Entry(("speed",), "box", ())
GEAR = Entry(("arm", 0), "discrete", (), sizes=(4,), starts=(2,))
GRIP = Entry(("arm", 1), "binary", (3,))
MIXED = ObservationSpace((CAMERA, SPEED, GEAR, GRIP))


def seen(**changes):
    return {
        "camera": np.arange(12, dtype=np.uint8).reshape(2, 2, 3),
        "speed": 0.5,
        "arm": (3, np.array([1, 0, 1], np.int8)),
        **changes,
    }


def parts(array, space=MIXED):
    """What was packed, by name."""
    return {
        f.entry.name: array[f.offset : f.offset + f.num_bytes].view(f.dtype).reshape(f.shape)
        for f in space.fields
    }


def test_parts_of_any_kind_are_packed_and_found_again():
    array, single = MIXED.encode(seen())
    assert single
    found = parts(array[0])
    assert (found["camera"] == seen()["camera"]).all()
    assert found["speed"] == np.float32(0.5)
    assert found["arm.0"] == 1  # counted from 0
    assert found["arm.1"].tolist() == [1, 0, 1]
    assert MIXED.numbers(array).tolist() == [[0.5, 1, 0, 1]]


def test_a_batch_is_what_its_rows_are():
    rows = [seen(speed=float(i), arm=(2 + i, [i, 0, 1])) for i in range(3)]
    batch = {
        "camera": np.stack([row["camera"] for row in rows]),
        "speed": np.array([row["speed"] for row in rows]),
        "arm": tuple(np.array([row["arm"][k] for row in rows]) for k in range(2)),
    }
    array, single = MIXED.encode(batch)
    assert not single
    assert (array == np.concatenate([MIXED.encode(row)[0] for row in rows])).all()


def test_a_space_is_what_its_json_says():
    assert ObservationSpace.from_dict(MIXED.to_dict()) == MIXED


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (
            {"camera": np.zeros((2, 2, 1), np.uint8)},
            r"camera has shape \[2, 2, 1\], not \[2, 2, 3\]",
        ),
        ({"camera": np.full((2, 2, 3), 0.5)}, r"camera holds 0.5, which is no uint8"),
        ({"camera": np.full((2, 2, 3), 300)}, r"camera holds 300, which is no uint8"),
        ({"speed": [1.0]}, r"speed has shape \[1\], not \[\]"),
        ({"speed": "fast"}, r"speed is of <U4, not of numbers"),
        ({"arm": (6, [1, 0, 1])}, r"arm.0 is 6, which is none of its choices"),
        ({"arm": (2.0, [1, 0, 1])}, r"arm.0 is of float64, not of whole numbers"),
        ({"arm": (2, [[1], [0, 1]])}, r"arm.1 is no array"),
        ({"arm": (2,)}, r"the observation has no arm.1"),
    ],
)
def test_what_is_not_in_the_space_is_refused_by_name(wrong, line):
    with pytest.raises(SpaceError, match=f"^{line}"):
        MIXED.write(seen(**wrong), MIXED.empty())


@pytest.mark.parametrize("shape", [(1,), (), (4, 1), (2, 4), (3,)])
def test_nothing_is_broadcast(shape):
    space = ObservationSpace.box((4,))
    with pytest.raises(SpaceError, match=r"observation has shape .*, not \[4\]"):
        space.write(np.zeros(shape, np.float32), space.empty())


def test_a_number_that_float32_does_not_hold_is_infinite_without_a_warning():
    space = ObservationSpace.box((2,))
    out = space.empty()
    space.write(np.array([1e300, -1e300]), out)
    assert out.tolist() == [np.inf, -np.inf]


def test_a_sole_choice_is_one_hot_and_several_are_side_by_side():
    one = ObservationSpace((Entry((), "discrete", (), sizes=(3,), starts=(-1,)),))
    assert one.encode(1)[0].tolist() == [[0, 0, 1]]
    two = ObservationSpace((Entry((), "discrete", (2,), sizes=(2, 3), starts=(0, 0)),))
    assert two.encode(np.array([1, 2]))[0].tolist() == [[0, 1, 0, 0, 1]]


def test_a_mask_within_an_observation_may_be_left_out():
    space = ObservationSpace((Entry(("x",), "box", (1,)),), mask=("action_mask",))
    assert space.mask_of({"x": [1.0]}) is None
    assert space.mask_of({"x": [1.0], "action_mask": [1, 0]}) == [1, 0]


@pytest.mark.parametrize(
    "space",
    [
        ObservationSpace((CAMERA,)),
        ObservationSpace((Entry(("speed",), "box", (2,), "float32", -1, 1),)),
        ObservationSpace((CAMERA, Entry(("speed",), "box", (), "float32", 0, 1))),
    ],
)
def test_numbers_to_be_normalised_have_no_bounds(space):
    numbers = space.as_numbers()

    (normalised,) = [e for e in numbers.entries if e.dtype == "float32"]
    assert normalised.low is None
    assert normalised.high is None
    # bytes beside numbers stay what they are
    assert [e for e in numbers.entries if e.dtype == "uint8"] == (
        [CAMERA] if len(space.entries) > 1 else []
    )
