import json

import pytest

from poke.run.examining.findings import (
    BROKEN,
    MISSING,
    OK,
    Finding,
    Group,
    as_json,
    as_text,
    can_run,
    examined,
)


def told(*findings):
    return as_text([Group("a title", findings)]).splitlines()


def test_a_line_each_and_advice_below_what_is_not_right():
    lines = told(
        Finding("torch", OK, "2.13.0", needed=True),
        Finding("gpu", MISSING, "none", "runs take the processor"),
    )
    assert lines == [
        "a title",
        "  ok      torch       2.13.0",
        "  missing gpu         none",
        "                      > runs take the processor",
        "",
        "a run can begin",
    ]


@pytest.mark.parametrize("length", [40, 56, 57, 76])
def test_it_fits_80_columns_and_advice_stands_whole(length):
    advice = "x" * length
    lines = told(Finding("name", BROKEN, "what was found is " + "long " * 40, advice))
    assert max(map(len, lines)) <= 80
    assert lines[1].endswith("...")
    assert lines[2].strip() == f"> {advice}"


@pytest.mark.parametrize(
    ("status", "needed", "expected"),
    [
        (OK, True, True),
        (MISSING, True, False),
        (BROKEN, True, False),
        (MISSING, False, True),
        (BROKEN, False, True),
    ],
)
def test_only_what_is_needed_keeps_a_run_from_beginning(status, needed, expected):
    groups = [Group("a title", [Finding("name", status, "", needed=needed)])]
    assert can_run(groups) is expected
    assert json.loads(as_json(groups))["can_run"] is expected
    assert (as_text(groups).splitlines()[-1] == "a run can begin") is expected


def test_what_raises_is_a_finding_in_one_line():
    def look():
        raise RuntimeError("one\ntwo")

    found = examined("it", look, advice="mend it", needed=True)
    assert found == Finding("it", BROKEN, "RuntimeError: one two", "mend it", needed=True)


def test_programs_are_told_everything():
    (group,) = json.loads(as_json([Group("a title", [Finding("it", OK, "fine")])]))["findings"]
    assert group == {
        "group": "a title",
        "name": "it",
        "status": "ok",
        "text": "fine",
        "advice": "",
        "needed": False,
    }
