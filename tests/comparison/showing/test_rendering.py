import csv
import io
import json
import math

import pytest

from poke.comparison.reading.collection import read_runs
from poke.comparison.showing.layout import format_number, printable
from poke.comparison.showing.rendering import Style, render
from poke.comparison.statistics.table import Question, compare


def rendered(root, form="table", style=None, **question):
    comparison = compare(read_runs([root], cache=False), Question(**question))
    return render(comparison, form, style or Style())


def test_text_tells_everything_a_reader_must_know(sweep):
    text = rendered(sweep)

    assert text.splitlines()[0] == (
        "val/loss: less is better (min, from its name); 8 runs in 2 groups"
    )
    assert text.splitlines()[2].split() == [
        *("algo.lr", "n", "last", "95", "%", "interval", "IQM", "best")
    ]
    assert text.splitlines()[3].split()[:5] == ["0.001", "4", "1.215", "±", "0.013"]
    assert "equal in all (2): algo.name=bc, trainer.max_steps=1000" in text
    assert "not averaged (2):" in text
    assert "loss is nan at step 1" in text
    assert "stale" in text


def test_fewer_than_three_runs_are_marked_and_get_no_interval(tmp_path, write_run):
    for seed in range(2):
        write_run(tmp_path, f"{seed}", seed=seed)

    text = rendered(tmp_path)

    assert "2*" in text
    assert "* fewer than 3 runs" in text
    assert "95 % interval" not in text


def test_single_runs_are_listed_by_name(tmp_path, write_run):
    write_run(tmp_path, "a", {"lr": 1})
    write_run(tmp_path, "b", {"lr": 2})

    lines = rendered(tmp_path).splitlines()

    assert lines[2].split() == ["lr", "run", "last", "best"]
    assert lines[3].split()[:2] == ["1", f"{tmp_path}/a"]


def test_a_baseline_adds_differences(sweep):
    text = rendered(sweep, baseline="lr=1e-4")

    assert "p (Holm)" in text
    assert "<0.001" in text
    assert "baseline: algo.lr=0.0001; p by Welch's test with Holm's correction" in text


def many_settings(root, write_run):
    for place in range(4):
        config = {
            "algo": {"name": "bc" if place < 2 else "ppo", "lr": place % 2},
            "derived": {"of_the_name_by_interpolation": "bc" if place < 2 else "ppo"},
        }
        write_run(root, f"r{place}", config, overrides=["algo.name=bc"])


def test_a_narrow_terminal_leaves_out_settings_that_repeat_others(tmp_path, write_run):
    many_settings(tmp_path, write_run)
    wide = rendered(tmp_path)
    width = max(map(len, wide.splitlines()[2:7])) - 10

    narrow = rendered(tmp_path, style=Style(width=width))

    assert "derived.of_the_name_by_interpolation" in wide.splitlines()[2]
    assert narrow.splitlines()[2].split()[:2] == ["algo.name", "algo.lr"]
    assert "vary too: derived.of_the_name_by_interpolation" in narrow


def test_dim_lines_are_dim_only_where_asked_for(sweep):
    assert "\x1b[2mequal in all" in rendered(sweep, style=Style(dim=True))
    assert "\x1b" not in rendered(sweep)


def test_csv_holds_full_numbers_that_can_be_read_back(sweep):
    rows = list(csv.DictReader(io.StringIO(rendered(sweep, "csv", baseline="lr=1e-3"))))

    assert [row["algo.lr"] for row in rows] == ["0.001", "0.0001"]
    assert float(rows[0]["mean"]) == pytest.approx(1.215, abs=1e-12)
    assert float(rows[1]["difference"]) == pytest.approx(0.5, abs=1e-12)
    assert rows[0]["difference"] == ""


def test_json_holds_everything_and_no_nan(sweep, write_run):
    write_run(sweep, "nan", {"algo": {"lr": 9.0}}, [{"step": 1, "val/loss": math.nan}])

    data = json.loads(rendered(sweep, "json"), parse_constant=lambda name: pytest.fail(name))

    assert data["metric"] == "val/loss"
    assert data["groups"][0]["settings"]["algo.lr"] == 0.001
    assert data["groups"][-1]["mean"] is None
    assert {entry["why"] for entry in data["not_averaged"]} == {"failed", "stale"}


def test_markdown_is_a_table(sweep):
    lines = rendered(sweep, "md").splitlines()

    assert lines[2].startswith("| algo.lr | n | last |")
    assert lines[3].startswith("| --- | ---: |")
    assert lines[2].count("|") == lines[3].count("|") == lines[4].count("|")


def test_latex_escapes_what_latex_reads(tmp_path, write_run):
    write_run(tmp_path, "a_b", {"x": "50% & $1_{\\top}"})
    write_run(tmp_path, "c", {"x": "~^#"})

    text = rendered(tmp_path, "latex")

    assert r"50\% \& \$1\_\{\textbackslash{}top\}" in text
    assert r"\textasciitilde{}\textasciicircum{}\#" in text
    assert text.rstrip().endswith(r"\end{tabular}")


@pytest.mark.parametrize("form", ["table", "md", "latex"])
def test_a_run_cannot_write_terminal_codes_or_lines_of_its_own(tmp_path, write_run, form):
    write_run(tmp_path, "a", {"x": "\x1b[31mred\nline"})
    write_run(tmp_path, "b", {"x": "plain"})
    write_run(tmp_path, "c\x1b[2J\n", {"x": "y"}, status="failed", error="\x1b[31m")

    text = rendered(tmp_path, form)

    assert "\x1b" not in text
    assert "\nline" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.123456, "0.1235"),
        (1e-5, "1e-05"),
        (123456.0, "123456"),
        (1e9, "1e+09"),
        (math.nan, "nan"),
    ],
)
def test_numbers(value, text):
    assert format_number(value) == text
    assert printable(text) == text
