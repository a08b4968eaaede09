import subprocess
import sys

import numpy as np
import pytest

from poke.data import trajectories
from poke.data.files.assembling import assemble
from poke.data.files.card import card
from poke.data.files.described import DataError

COUNTS = {"battles": 30, "decisions": 900, "won": 12, "drawn": 3, "lost": 15, "refused": 2}


def write(path, **about):
    data = assemble(
        {
            "observation": np.zeros((6, 2), np.float32),
            "action": np.arange(6) % 3,
            "reward": np.zeros(6, np.float32),
            "terminated": np.arange(6) % 3 == 2,
        },
        {"action": {"kind": "discrete", "num_actions": 3}, **about},
    )
    trajectories.write(path, data)
    return [line.strip() for line in card(path)[1:]]


@pytest.mark.parametrize(
    ("about", "line"),
    [
        ({"format": "gen1ou", "battles": [10, 1510]}, "played 1,500 battles of gen1ou"),
        ({"env": "CartPole-v1"}, "played CartPole-v1"),
        ({"seed": 7}, "seed 7"),
        ({"versions": {"a": "1.0", "b": "2"}}, "versions a 1.0, b 2"),
        ({"experts": {"a": 1.0}}, "recorded a"),
        ({"experts": {"a": 1.0, "b": 3}}, "recorded a (25 %), b (75 %)"),
        ({"policies": {"runs/a": "0123456789abcdef"}}, "policies runs/a (01234567)"),
        ({"imported": {"logs": 1200, "unknown": 3}}, "imported logs 1,200, unknown 3"),
        (
            {"imported": {"unknown": 3}},
            "decisions 6, the choice of 50.0% is not known",
        ),
        ({}, "decisions 6"),
        ({}, "seen float32 [2]"),
        ({}, "chosen one of 3"),
    ],
)
def test_a_card_says_what_the_file_knows(tmp_path, about, line):
    lines = write(tmp_path / "t.parquet", **about)
    assert line in [" ".join(said.split()) for said in lines]


def test_what_a_file_does_not_know_has_no_line(tmp_path):
    assert [line.split()[0] for line in write(tmp_path / "t.parquet")] == [
        "decisions",
        "seen",
        "chosen",
    ]


def test_results_are_a_table_by_who_played_and_whom_it_met(tmp_path):
    lines = write(tmp_path / "t.parquet", results={"a": {"b": COUNTS}, "long name": {"a": COUNTS}})
    head, *rows = lines[-3:]
    assert head.split() == ["who", "met", "battles", "decisions", "won", "drawn", "lost", "refused"]
    assert rows[0].split() == ["a", "b", "30", "900", "40.0%", "10.0%", "50.0%", "2"]
    assert rows[1].startswith("long name  a")
    assert len({len(line) for line in lines[-3:]}) == 1, "right-aligned"


def test_results_that_only_say_whom_it_met_are_no_table(tmp_path):
    """Recordings of before there were mixtures have them."""
    lines = write(tmp_path / "t.parquet", results={"random": COUNTS})
    assert lines[-1].startswith("chosen")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "t.parquet").write_text("no")
    for path in (tmp_path / "t.parquet", tmp_path / "gone.parquet"):
        with pytest.raises(DataError, match=path.name) as refused:
            card(path)
        assert "\n" not in str(refused.value)


def test_a_card_needs_no_torch():
    code = "import sys; from poke.data.files.card import card; card('sample:gen1randombattle'); "
    done = subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"])
    assert done.returncode == 0


def test_a_recording_that_lacks_what_was_seen_last_says_so(tmp_path):
    from dataclasses import replace

    from poke.data import trajectories

    from ..transitions.episodes import drawn

    whole, path = drawn(3), tmp_path / "a.parquet"
    for data, lacks in (
        (whole, False),
        (replace(whole, finals=None), True),
        (replace(whole, finals=None, truncated=whole.truncated & False), False),
    ):
        trajectories.write(path, data)
        assert ("what was seen last is not known" in "\n".join(card(path))) == lacks
