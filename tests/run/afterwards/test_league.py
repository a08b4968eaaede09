"""Everyone against everyone: ratings, tables, and what an interruption leaves."""

import errno
import itertools
import os
import re
import signal
from dataclasses import replace

import numpy as np
import pytest

from poke.envs.showdown.names import SCRIPTED
from poke.play import main
from poke.run.afterwards.league import playing
from poke.run.afterwards.league.page import page
from poke.run.afterwards.league.ratings import MEAN, intervals, rate
from poke.run.afterwards.league.results import Row, matrices, read_rows, write_rows
from poke.run.afterwards.league.standings import standings, text


def battles_of(generator, players, most=200):
    """Battles of everyone against everyone: who won, and draws."""
    won = generator.integers(0, most, (players, players))
    drawn = generator.integers(0, most // 10, (players, players))
    np.fill_diagonal(won, 0), np.fill_diagonal(drawn, 0)
    return won, np.triu(drawn) + np.triu(drawn).T


@pytest.mark.parametrize("seed", range(20))
def test_ratings_expect_what_was_scored(seed):
    """Of the most probable ratings of this model everyone's expected score is the one that was played."""
    won, drawn = battles_of(np.random.default_rng(seed), players=2 + seed % 6)
    rating = rate(won, drawn)
    chance = 1 / (1 + 10 ** ((rating[None] - rating[:, None]) / 400))
    others = 1 - np.eye(len(won))
    played = won + won.T + drawn + others  # and one drawn battle more of each two
    score = won + drawn / 2 + others / 2
    assert (played * chance * others).sum(1) == pytest.approx(score.sum(1), rel=1e-6)
    assert rating.mean() == pytest.approx(MEAN)


def test_four_hundred_points_are_ten_to_one():
    strong, weak = rate([[0, 100_000], [10_000, 0]], np.zeros((2, 2)))
    assert strong - weak == pytest.approx(400, abs=0.1)


def test_who_wins_always_has_a_rating_and_who_is_another_has_the_same():
    won = np.array([[0, 50, 0], [0, 0, 0], [0, 30, 0]])
    rating = rate(won, np.zeros_like(won))
    assert np.isfinite(rating).all()
    assert rating[0] > rating[2] > rating[1]
    order = [2, 0, 1]
    assert rate(won[np.ix_(order, order)], np.zeros_like(won)) == pytest.approx(rating[order])


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(0)
    truth = np.array([1150.0, 1000.0, 850.0])
    chance = 1 / (1 + 10 ** ((truth[None] - truth[:, None]) / 400))
    held = []
    for _ in range(60):
        won = np.triu(generator.binomial(200, chance), 1)
        won = won + np.triu(200 - won, 1).T
        low, high = intervals(won, np.zeros_like(won), seed=1, samples=200)
        held.append((low <= truth) & (truth <= high))
    assert 0.85 < np.mean(held) <= 1


def row(first, second, won=3, drawn=1, lost=2, **more):
    about = {
        "format": "gen1randombattle",
        "teams": "",
        "seed": 0,
        "start": 0,
        "turns": 90,
        "refused": 1,
    }
    return Row(
        first=first, second=second, first_is=first, second_is=second,
        battles=won + drawn + lost, won=won, drawn=drawn, lost=lost, **(about | more),
    )  # fmt: skip


def test_who_has_won_all_battles_is_not_rated_with_certainty():
    few, many = (intervals([[0, n], [0, 0]], np.zeros((2, 2)), seed=0) for n in (5, 500))
    assert few[0][0] < few[1][0] - 50
    assert many[0][0] > few[0][0] + 100


def test_rows_come_back_from_their_file(tmp_path):
    rows = [row("a", 'quo"ted, name'), row("a", "b", start=6)]
    write_rows(tmp_path / "league.csv", rows)
    assert read_rows(tmp_path / "league.csv") == rows
    assert read_rows(tmp_path / "nothing.csv") == []
    won, drawn = matrices(rows, ["a", 'quo"ted, name', "b"])
    assert won.tolist() == [[0, 3, 3], [2, 0, 0], [2, 0, 0]]
    assert drawn.tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    "told", ["step,loss\n1,2\n", "first\nx\n", ",".join(playing.Row.__annotations__) + "\na,b,c\n"]
)
def test_another_file_is_no_leagues(tmp_path, told):
    (tmp_path / "league.csv").write_text(told)
    with pytest.raises(ValueError, match="is no league's"):
        read_rows(tmp_path / "league.csv")


@pytest.mark.parametrize("players", [2, 5, 9, 24])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_the_terminal_and_shows_every_two(players, width):
    names = [f"{'long-' * 9}{i}" if i % 2 else f"run{i}" for i in range(players)]
    rows = [row(a, b, won=100) for i, a in enumerate(names) for b in names[i + 1 :]]
    said = text(standings(rows, names, seed=0), width)
    assert max(map(len, said.splitlines()[:-1])) <= width
    *blocks, below = said.split("\n\n")
    assert below.endswith(" drawn")
    heads = " ".join(block.splitlines()[0] for block in blocks)
    assert [
        int(number) for number in re.findall(r" (\d+)(?= |$)", heads) if number != "95"
    ] == list(range(1, players + 1))
    for block in blocks:
        assert len(block.splitlines()) == 1 + players
        assert block.count(" .") == len(block.splitlines()[0].split()) - 3 * block.count("Elo")


def test_the_page_needs_nothing_and_believes_no_name():
    names = ["<b>bold</b>", "plain & simple"]
    told = page(standings([row(*names)], names, seed=0), title="League <1>", about="a & b")
    assert "<b>" not in told
    assert "plain &amp; simple" in told
    assert "League &lt;1&gt;" in told
    assert not re.search(r"https?:|<script|<link|@import|url\(", told)


@pytest.fixture
def league(tmp_path, monkeypatch, installed):
    """Play a league of scripted players; rows are of four battles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(playing, "_BATTLES_A_ROW", 4)

    def play(*players, battles=8, out="out"):
        how = [
            "--format",
            "gen1randombattle",
            "--battles",
            str(battles),
            "--out",
            out,
            "--workers",
            "1",
        ]
        return main(["league", *players, *how])

    return play


@pytest.mark.showdown
@pytest.mark.slow
def test_a_league_goes_on_where_it_was_interrupted(league, monkeypatch, capsys, tmp_path):
    assert league("random", "max_base_power") == 0
    whole = (tmp_path / "out" / "league.csv").read_bytes()
    said = capsys.readouterr().out
    assert re.search(r"^ 1 max_base_power +\d+", said, re.MULTILINE)
    assert " of 8 drawn" in said
    written = playing.write_rows

    def write_and_interrupt(path, rows):
        written(path, rows)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(playing, "write_rows", write_and_interrupt)
    assert league("random", "max_base_power", out="again") == 130
    assert [r.start for r in read_rows(tmp_path / "again" / "league.csv")] == [0]
    assert "the same command goes on from there" in capsys.readouterr().out
    monkeypatch.setattr(playing, "write_rows", written)
    assert league("random", "max_base_power", out="again") == 0
    assert "4 of 8 battles are known already" in capsys.readouterr().err
    assert (tmp_path / "again" / "league.csv").read_bytes() == whole


@pytest.mark.showdown
def test_on_a_full_disk_a_league_tells_what_was_played(league, monkeypatch, capsys, tmp_path):
    written = playing.write_rows

    def write_once(path, rows):
        if len(rows) > 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written(path, rows)

    monkeypatch.setattr(playing, "write_rows", write_once)
    assert league("random", "max_base_power") == 1
    said = capsys.readouterr()
    assert re.search(r"^ 1 max_base_power +\d+", said.out, re.MULTILINE)
    assert " of 8 drawn" in said.out
    last = said.err.splitlines()[-1]
    assert last.startswith("poke: [Errno 28] No space left on device: ")
    assert [row.start for row in read_rows(tmp_path / "out" / "league.csv")] == [0]


@pytest.mark.showdown
@pytest.mark.slow
def test_who_joins_a_league_plays_alone_and_who_has_changed_plays_anew(league, tmp_path, capsys):
    league("random", "max_base_power")
    path = tmp_path / "out" / "league.csv"
    (first, second) = read_rows(path)
    write_rows(path, [replace(first, turns=12345), replace(second, second_is="of old")])
    league("simple_heuristics", "random", "max_base_power", battles=6)
    rows = read_rows(path)
    assert rows[0].turns == 12345, "not played again"
    assert (second.start, [r.battles for r in rows if r.second == "random"][1]) == (4, 2)
    assert (tmp_path / "out" / "league.html").read_text().count("<tr>") == 4
    league("random", "max_base_power", battles=10)
    assert [r.battles for r in read_rows(path) if r.second == "random"] == [4, 2, 4]
    assert {(r.first, r.second, r.start) for r in rows} == {
        (first, second, start)
        for first, second in itertools.combinations(sorted(SCRIPTED), 2)
        for start in (0, 4)
    }


MISTAKES = {
    "random": "a league has at least two players",
    "random random": "random would play itself",
    "random max_base_power": "nobody here is a run: add --format FORMAT",
    "random nothing": "nothing: no such file or directory",
}


@pytest.mark.parametrize("players", MISTAKES)
def test_a_mistake_is_answered_in_one_line(monkeypatch, tmp_path, capsys, players):
    monkeypatch.chdir(tmp_path)
    assert main(["league", *players.split()]) == 2
    assert capsys.readouterr().err == f"poke: {MISTAKES[players]}\n"
    assert not list(tmp_path.iterdir())
