"""One odd file never ends the whole: beside a good run, it is read or has a line that says why not."""

import csv
import io
import json
import os

import numpy as np
import pytest

from poke import compare as door
from poke.comparison.reading.collection import read_histories, read_runs
from poke.comparison.reading.following import Follower
from poke.comparison.showing.inspection import diff, show
from poke.comparison.showing.report import render_report
from poke.comparison.showing.watching import running_table
from poke.comparison.statistics.table import Question, compare

TABLE = "step,time,val/loss,note\n1,2026-03-01T12:00:00Z,2.0,a\n2,2026-03-01T12:00:01Z,0.5,b\n"
PLAIN = "step,val/loss\n1,2.0\n2,0.5\n"
NAMES = (
    "a\nb", "a\rb", "a\r\nb", "a;b;c;d", "a\tb", 'say "a"', '"', "50 %", "%s{}", "größe/µ ±", "x" * 300, "a,b", "'",
    "=1+1", " pad ", "\x00", "-", "step2", "\u2028",
)  # fmt: skip

# What is read, though another wrote it: two rows of val/loss that end in 0.5.
READ = {
    "returns end lines": PLAIN.replace("\n", "\r").encode(),
    "windows lines": PLAIN.replace("\n", "\r\n").encode(),
    "a return in a name": TABLE.replace("note", "no\rte").encode(),
    "a return in a cell": TABLE.replace(",a\n", ",a\ra\n").encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "semicolons and decimal commas": PLAIN.replace(",", ";").replace(".", ",").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "utf-8 with a mark": PLAIN.encode("utf-8-sig"),
    "utf-16": PLAIN.encode("utf-16"),
    "utf-16 without a mark": PLAIN.encode("utf-16-le"),
    "utf-16, windows lines": PLAIN.replace("\n", "\r\n").encode("utf-16-be"),
    "utf-32": PLAIN.encode("utf-32"),
    "padded": b"step , val/loss , note\n1 , 2.0 , a\n2 , 0.5 , b\n",
    "quoted": b'"step","val/loss"\n"1","2.0"\n"2","0.5"\n',
    "padded and quoted": b'"step" , "val/loss"\n1 , 2.0\n2 , 0.5\n',
    "a long cell": TABLE.replace(",a\n", f',"{"a" * 200_000}"\n').encode(),
    "a long name": TABLE.replace("note", "n" * 200_000).encode(),
    "short rows": b"step,val/loss,b,c\n1,2.0\n2,0.5,,\n",
    "short rows with quotes": b'step,val/loss,b,c\n1,2.0,"x,\ny"\n2,0.5\n',
    "an index": b",step,val/loss\n0,1,2.0\n1,2,0.5\n",
    "an empty column of steps": b"timesteps_total,training_iteration,val/loss\n,1,2.0\n,2,0.5\n",
    "steps nowhere": b"timesteps_total,val/loss\n,2.0\n,0.5\n",
    "no number in the time": b"step,time,val/loss\n1,soon,2.0\n2,later,0.5\n",
    "latin-1 in a name": "step,val/loss,größe\n1,2.0,1\n2,0.5,1\n".encode("latin-1"),
    "blank lines": b"step,val/loss\n\n1,2.0\n\n\n2,0.5\n\n",
    "two columns of a name": b"step,val/loss,val/loss\n1,2.0,9\n2,0.5,9\n",
    "zeros at the end": PLAIN.encode() + bytes(4096) + b"\n",
    "a cell that is no number": b"step,val/loss\n1,2.0\n2,0.5\n3,oops\n",
    "a row too long": b"step,val/loss\n1,2.0\n11,2.2,3,4.4\n2,0.5\n",
    "a name that is a step's": b"step,global_step,val/loss\n1,8,2.0\n2,9,0.5\n",
    "huge and tiny steps": b"step,val/loss\n-1e308,2.0\n1e308,0.5\n",
}
UNREADABLE = {
    "nothing": b"",
    "a newline": b"\n",
    "zeros": bytes(10_000),
    "noise": np.random.default_rng(0).bytes(20_000),
    "every byte": bytes(range(256)) * 50,
    "no line": b"step,val/loss",
    "a quote that is never closed": b'step,val/loss\n1,"2.0\n2,0.5\n' * 3,
    "a picture": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" * 100,
}
ODD = [None, [], {}, "x", 7, -1.5, True, [[1]], {"a": {"b": []}}, "\ud800", "\x1b[2J\n"]
FIELDS = (
    "status", "name", "started", "ended", "seed", "device", "parent", "data", "final", "best", "step", "error",
    "exit_reason", "overrides", "sessions", "bookkeeping", "schema_version",
)  # fmt: skip
SESSION = (
    "started",
    "ended",
    "host",
    "cwd",
    "command",
    "changed",
    "packages",
    "code",
    "poke",
    "from_step",
)


@pytest.fixture
def folder(tmp_path, write_run):
    """A folder with a good run, whose last loss is 0.25, and room for an odd one."""
    write_run(tmp_path / "runs", "good", rows=[{"step": 1, "val/loss": 0.25}])
    (tmp_path / "runs/odd").mkdir()
    return tmp_path / "runs"


def look(folder, capsys):
    """Ask everything of the folder; return the table and the runs' problems by name."""
    status = door.main([str(folder), "--by", "run", "--no-cache"])
    shown = capsys.readouterr()
    assert (status, shown.err) == (0, "")
    assert any("good" in line and "0.25" in line for line in shown.out.splitlines())
    runs = read_runs([folder], cache=False)
    good, odd = runs if len(runs) == 2 else (runs[0], None)
    comparison = compare(runs, Question(by=["run"]), cache=False)
    assert "good" in render_report(comparison, folder / "report.html", cache=False)
    follower = Follower([str(folder)], cache=False)
    assert "ended" in running_table(follower.look(), [], None, follower.rows)
    for text in (*map(show, runs), diff(runs[0], runs[-1])):
        assert text.isprintable() or all(c.isprintable() or c == "\n" for c in text)
    read_histories(runs, cache=False)
    for problem in good.problems + (odd.problems if odd else []):
        assert "\n" not in problem
        assert f"! {folder}/odd: " in shown.out
    return odd, shown.out


@pytest.mark.parametrize("oddity", READ)
def test_csv_of_other_programs_is_read(folder, capsys, oddity):
    (folder / "odd/progress.csv").write_bytes(READ[oddity])

    odd, _ = look(folder, capsys)

    assert odd.summary.last("val/loss")[0] == 0.5
    assert odd.summary.best("val/loss", "max")[0] == 2.0


@pytest.mark.parametrize("oddity", UNREADABLE)
def test_what_is_no_csv_costs_one_line(folder, capsys, oddity):
    (folder / "odd/metrics.csv").write_bytes(UNREADABLE[oddity])

    odd, text = look(folder, capsys)

    assert odd.problems or odd.summary.measured()
    assert text.count("\n! ") == len(odd.problems)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_kind_come_back(folder, capsys, name):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "time", f"train/{name}", "val/loss"])
    writer.writerow([1, "2026-03-01T12:00:00Z", 0.125, 2.0])
    (folder / "odd/metrics.csv").write_text(text.getvalue(), newline="")

    odd, _ = look(folder, capsys)

    assert odd.summary.names == [f"train/{name}", "val/loss"]
    assert odd.summary.last(f"train/{name}")[0] == 0.125


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("field", FIELDS)
def test_an_account_of_a_wrong_shape_is_read_where_it_can_be(
    folder, capsys, write_run, field, value
):
    (folder / "odd").rmdir()
    account = write_run(folder, "odd") / "run.json"
    account.write_text(json.dumps(json.loads(account.read_text()) | {field: value}))

    odd, _ = look(folder, capsys)

    assert odd.summary.last("val/loss")[0] == 1.0
    assert odd.problems in ([], [f"run.json has no usable {field}"])


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_sessions_of_a_wrong_shape_are_read_where_they_can_be(
    folder, capsys, write_run, session, value
):
    (folder / "odd").rmdir()
    write_run(folder, "odd", sessions=[session(**{name: value}) for name in SESSION] + [value])

    look(folder, capsys)


@pytest.mark.parametrize("name", ["run.json", "config.json", "config.yaml"])
@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"7", b'"x"', b"{", b"\xff\xfe{", b"[" * 100_000, bytes(100), b"\x80" * 9,
     b'{"a": 1e999, "b": NaN, "\\ud800": "\\ud800"}', b'{"a": ' + b"9" * 9_000 + b"}",
     '{"größe": 1}'.encode("utf-16"), '{"größe": 1}'.encode("utf-8-sig"), b"a: &a [*a]", b"a: !x {? [1] : 2}"],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_an_odd_config_or_account_costs_one_line_at_most(folder, capsys, name, text):
    (folder / "odd/metrics.csv").write_text(PLAIN)
    (folder / f"odd/{name}").write_bytes(text)

    odd, _ = look(folder, capsys)

    assert odd.summary.last("val/loss")[0] == 0.5
    assert len(odd.problems) <= 1


def test_aliases_that_unfold_to_more_than_memory_holds_are_refused(folder, capsys):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (folder / "odd/metrics.csv").write_text(PLAIN)
    (folder / "odd/config.yaml").write_text("\n".join(lines))

    odd, _ = look(folder, capsys)

    assert odd.problems == ["config.yaml has more than 100,000 values"]


@pytest.mark.parametrize("name", ["metrics.csv", "run.json", "config.json"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop", "dangling"])
def test_what_is_no_file_costs_one_line_and_no_waiting(folder, capsys, write_run, name, kind):
    (folder / "odd").rmdir()
    path = write_run(folder, "odd") / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"device": "/dev/zero", "loop": path, "dangling": "nowhere"}[kind])

    odd, _ = look(folder, capsys)

    assert len(odd.problems) == 1
    assert odd.problems[0].startswith(f"{name} cannot be read (")


def test_links_in_a_circle_end(folder, capsys):
    (folder / "odd").rmdir()
    (folder / "self").symlink_to(folder / "self")
    (folder / "up").symlink_to(folder)

    assert look(folder, capsys)[0] is None


def test_a_file_without_permission_costs_one_line(folder, capsys, write_run):
    if os.geteuid() == 0:
        pytest.skip("root may read everywhere")
    (folder / "odd").rmdir()
    (write_run(folder, "odd") / "metrics.csv").chmod(0)

    odd, _ = look(folder, capsys)

    assert odd.problems == ["metrics.csv cannot be read (Permission denied)"]


def test_a_folder_whose_name_is_no_text_keeps_its_place_in_the_index(folder, capsys, write_run):
    (folder / "odd").rmdir()
    write_run(folder, os.fsdecode(b"odd\xff\n"))

    for _ in range(2):
        assert door.main([str(folder), "--by", "run"]) == 0
    assert (folder / ".poke-index.sqlite").exists()
    assert compare(read_runs([folder]), Question(by=["run"])).num_runs == 2


def test_a_failure_that_nobody_thought_of_names_its_run(folder, capsys, monkeypatch, write_run):
    from poke.comparison.reading.rows import parsing

    original = parsing._parse_alone
    (folder / "odd/metrics.csv").write_text("step,other\n1,x\n2,1\n")

    def fail(columns, text):
        if "other" in columns.names:
            raise RuntimeError("unheard\nof")
        return original(columns, text)

    monkeypatch.setattr(parsing, "_parse_alone", fail)
    odd, _ = look(folder, capsys)

    assert odd.problems == ["metrics.csv cannot be read (RuntimeError: unheard of)"]


@pytest.mark.parametrize("wide", [False, True])
def test_a_header_widened_in_place_is_noticed(tmp_path, wide):
    """Names that come late widen the header where it stands; the rows before them stay short."""
    room = 20_000 if wide else 40
    run = tmp_path / "run"
    run.mkdir()
    names = [f"train/{i:0{3000 if wide else 1}d}" for i in range(3)]

    def write(count, rows):
        header = ",".join(["step", "time", *names[:count]])
        text = header + "," * (room - len(header)) + "\n" + "".join(rows)
        (run / "metrics.csv").write_text(text)

    rows = []
    for count in (1, 1, 2, 3):
        for _ in range(2):
            stamp = f"2026-03-01T12:00:0{len(rows)}Z"
            rows.append(f"{len(rows)},{stamp},{','.join(['0.5'] * count)}\n")
        write(count, rows)
        (with_index,), (alone,) = read_runs([tmp_path]), read_runs([tmp_path], cache=False)
        assert with_index.summary.names == alone.summary.names == names[:count]
        assert with_index.summary.step == alone.summary.step == len(rows) - 1
        np.testing.assert_array_equal(with_index.summary.numbers, alone.summary.numbers)
    assert json.dumps(with_index.problems) == "[]"
