import gc
import weakref

import numpy as np
import pytest

from poke.comparison.reading.rows.history import is_empty
from poke.comparison.reading.rows.incremental import Text, read_lines
from poke.comparison.reading.rows.parsing import parse
from poke.comparison.reading.rows.summary import summarize_history


def history(text: str, first_row: int = 0):
    header, _, body = text.encode().partition(b"\n")
    return parse([Text(header, body, first_row)])[0]


def test_reads_steps_times_and_metrics_of_a_poke_file():
    read = history(
        "step,time,train/loss,val/loss\n"
        "100,2026-03-01T12:00:00.250Z,1.5,\n"
        "200,2026-03-01T12:00:01+00:00,,0.1\n"
    )

    assert read.names == ["train/loss", "val/loss"]
    assert read.steps.tolist() == [100, 200]
    assert read.times[1] - read.times[0] == 0.75
    assert read.column("val/loss")[2].tolist() == [0.1]
    assert read.problems == []


def test_a_cell_without_a_value_differs_from_a_cell_that_says_nan():
    read = history("step,a,b\n1,nan,\n2,,nan\n")

    assert is_empty(read.values).tolist() == [[False, True], [True, False]]
    assert np.isnan(read.values).all()


@pytest.mark.parametrize("text", ["inf", "-inf", "1e-300", "0.1", "-0.0", "1.7976931348623157e308"])
def test_floats_are_read_exactly(text):
    assert history(f"step,a\n1,{text}\n").values[0, 0] == float(text)


def test_files_of_equal_columns_are_read_together_as_each_by_itself():
    texts = [
        Text(b"step,a", f"{place},{place / 7}\n{place + 1},\n".encode() * (place + 1))
        for place in range(5)
    ]
    texts.insert(2, Text(b"step,b", b"1,2.0\n"))
    texts.insert(3, Text(b"step,a", b""))

    together = parse(texts)

    for text, read in zip(texts, together, strict=True):
        alone = parse([text])[0]
        assert read.names == alone.names
        assert read.matrix.tobytes() == alone.matrix.tobytes()


def test_one_broken_file_does_not_touch_the_files_read_with_it():
    good, broken = parse(
        [
            Text(b"step,a", b"1,2.0\n"),
            Text(b"step,a", b"1,2.0\n2,oops\n3,1,4,4\n4,4.0\n5\n"),
        ]
    )

    assert good.problems == []
    assert good.values.tolist() == [[2.0]]
    assert broken.steps.tolist() == [1, 2, 4, 5]
    assert broken.column("a")[2].tolist() == [2.0, 4.0]
    assert broken.problems == [
        "has 1 cells in a that are no numbers",
        "has 1 lines with too many cells, which are skipped",
    ]


def test_a_column_of_words_is_left_out():
    read = history("step,phase,loss\n1,warm-up,0.5\n2,main,0.4\n")

    assert read.names == ["loss"]
    assert read.problems == []


def test_quoted_cells_may_hold_commas_and_line_breaks():
    read = history('step,note,loss\n1,"a, b\nc",0.5\n2,,0.25\n')

    assert read.names == ["loss"]
    assert read.values.tolist() == [[0.5, 0.25]]


def test_of_two_columns_with_one_name_the_first_is_read():
    read = history("step,a,a\n1,2,3\n")

    assert read.values.tolist() == [[2.0]]
    assert read.problems == ["has two columns named a; the first is read"]


def test_windows_line_ends_a_byte_order_mark_and_blank_lines():
    read = history("\ufeffstep,a\r\n1,2\r\n\r\n3,4\r\n")

    assert read.names == ["a"]
    assert read.steps.tolist() == [1, 3]
    assert read.values.tolist() == [[2, 4]]


def test_blank_lines_of_one_file_do_not_shift_the_rows_of_the_next():
    first, second = parse([Text(b"step,a", b"1,2\n\n\n"), Text(b"step,a", b"3,4\n5,6\n")])

    assert first.steps.tolist() == [1]
    assert second.steps.tolist() == [3, 5]


def test_rows_of_a_file_without_steps_are_numbered_through_its_parts():
    assert history("loss\n5\n6\n", first_row=10).steps.tolist() == [10, 11]
    assert history("loss\n5\nx\n", first_row=10).steps.tolist() == [10, 11]


@pytest.mark.parametrize("name", ["step", "global_step", "time/total_timesteps"])
def test_steps_of_other_programs(name):
    assert history(f"loss,{name}\n5,100\n").steps.tolist() == [100]


def test_ten_thousand_columns():
    names = ",".join(f"m{column}" for column in range(10_000))
    cells = ",".join(str(column) for column in range(10_000))

    read = history(f"step,{names}\n1,{cells}\n")

    assert read.values[9_999, 0] == 9_999


def test_a_line_without_its_end_is_left_for_later(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,a\n1,2\n3,0.12")

    text, position, _ = read_lines(str(path))
    path.write_text("step,a\n1,2\n3,0.125\n")
    later, _, continues = read_lines(str(path), position)

    assert text.body == b"1,2\n"
    assert continues
    assert later.body == b"3,0.125\n"


@pytest.mark.parametrize(
    "rewritten", ["step,b\n1,2\n3,4\n5,6\n", "step,a\n1,9\n3,4\n5,6\n", "step,a\n1,2\n"]
)
def test_a_file_written_anew_is_read_from_its_beginning(tmp_path, rewritten):
    path = tmp_path / "metrics.csv"
    path.write_text("step,a\n1,2\n3,4\n")
    _, position, _ = read_lines(str(path))
    path.write_text(rewritten)

    text, _, continues = read_lines(str(path), position)

    assert not continues
    assert bytes(text.body).decode() == rewritten.partition("\n")[2]


@pytest.mark.parametrize("rows", [10, 2_000])
def test_growth_is_recognised_in_small_and_large_files(tmp_path, rows):
    path = tmp_path / "metrics.csv"
    path.write_text("step,a\n" + "".join(f"{row},{row / 3}\n" for row in range(rows)))
    position = None
    for addition in ("7,8\n", "9,10\n" * 1_000, ""):
        _, position, continues = read_lines(str(path), position)
        with open(path, "a") as file:
            file.write(addition)
    text, _, continues = read_lines(str(path), position)

    assert continues
    assert text.body == b""


def test_summary_tells_last_lowest_and_highest_with_their_steps():
    summary = summarize_history(history("step,a,b,c\n1,3,nan,\n2,1,5,\n3,1,inf,\n4,2,nan,\n5,,,\n"))

    assert summary.measured() == ["a", "b"]
    assert summary.last("a") == (2, 4)
    assert summary.best("a", "min") == (1, 2)
    assert summary.best("a", "max") == (3, 1)
    assert np.isnan(summary.last("b")[0])
    assert summary.best("b", "max") == (5, 2)
    assert np.isnan(summary.last("c")[0])
    assert np.isnan(summary.last("unknown")[0])
    assert summary.step == 5


def test_a_summary_in_parts_equals_the_summary_of_the_whole():
    generator = np.random.default_rng(0)
    choices = np.array(["", "nan", "1", "2", "3", "-1", "inf"])
    lines = [
        ",".join([str(row), *generator.choice(choices, 6, p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])])
        for row in range(12)
    ]
    header = "step,a,b,c,d,e,f\n"
    for cut in range(13):
        first = summarize_history(history(header + "".join(f"{line}\n" for line in lines[:cut])))
        second = summarize_history(history(header + "".join(f"{line}\n" for line in lines[cut:])))
        whole = summarize_history(history(header + "".join(f"{line}\n" for line in lines)))

        joined = first.extend(second)

        np.testing.assert_array_equal(joined.numbers, whole.numbers)
        assert joined.measured() == whole.measured()
        assert joined.step == whole.step


def test_what_arrow_read_last_outlives_the_reading():
    """Arrow's threads let go of it late: the last of them to do so must not be what frees it.

    A process that ends in that instant is aborted, about once in a thousand; here is seen what keeps
    it from that, not the instant.
    """
    numbers = np.frombuffer(b"1,2\n3,4\n" * 1000, np.uint8).view(_Watched)
    alive = weakref.ref(numbers)

    history = parse([Text(b"step,val/loss", memoryview(numbers))])[0]
    del numbers
    gc.collect()

    assert history.matrix.shape[1] == 2000
    assert alive() is not None


class _Watched(np.ndarray):
    """An array of which can be asked whether it is still alive."""
