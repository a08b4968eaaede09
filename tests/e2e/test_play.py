"""`python -m poke.play` as a user has it: a run of the sample's battles, on a real server."""

import base64
import gzip
import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from poke.data import trajectories
from poke.envs.showdown import layout
from poke.envs.showdown.server import ShowdownServer
from poke.play import main

from .conftest import assert_gone

LINE = re.compile(
    r"run against (\w+) in gen1randombattle: won (\d+) of (\d+), [\d.]+ % \[[\d.]+, [\d.]+\], \d+ drawn\n"
    r"([\d.]+) turns a battle, (\d+) choices refused, ([\d.]+) seconds a decision\n"
)


@pytest.fixture(scope="module")
def clone(session_poke):
    session_poke.train("trainer.max_steps=300", run_dir="run")
    return session_poke


@pytest.mark.showdown
@pytest.mark.slow
def test_ten_battles_are_played_on_a_real_server_and_counted(clone, installed):
    said = clone("poke.play", "run", "--opponent", "random", "--battles", "10", "--seed", "3")
    opponent, won, played, turns, refused, seconds = LINE.search(said).groups()
    assert (opponent, played) == ("random", "10")
    assert 5 <= int(won) <= 10
    assert float(turns) > 5
    assert int(refused) >= 0
    assert 0 < float(seconds) < 1
    assert "Traceback" not in said
    assert "10/10 battles" in said


TEAM = """\
Tauros
EVs: 252 HP / 252 Atk / 252 Def / 252 SpA / 252 SpD / 252 Spe
- Body Slam
- Hyper Beam

Snorlax
EVs: 252 HP / 252 Atk / 252 Def / 252 SpA / 252 SpD / 252 Spe
- Body Slam
- Earthquake
"""


@pytest.mark.showdown
@pytest.mark.slow
def test_a_run_plays_another_one_with_teams_of_a_file(clone, installed):
    (clone.cwd / "teams.txt").write_text(TEAM)
    how = ("--format", "gen1ou", "--teams", "teams.txt", "--battles", "4", "--concurrency", "2")
    said = clone("poke.play", "run", "--opponent", "run/checkpoints/best.pt", *how)
    assert "run against run/checkpoints/best.pt in gen1ou: won " in said
    assert " of 4, " in said
    assert "given up" not in said


def heard(stream, text):
    """Read a stream until a line has it; return that line."""
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"it ended without {text}")


@pytest.mark.showdown
@pytest.mark.slow
def test_two_play_on_a_server_of_others_until_one_is_interrupted(clone, installed):
    with ShowdownServer() as server:
        there = ("--server", f"ws://127.0.0.1:{server.port}")
        clone.env |= {"POKE_SHOWDOWN_USERNAME": "Ann", "POKE_SHOWDOWN_PASSWORD": ""}
        ann = clone.start("poke.play", "run", *there, "--accept", "--watch", "--page", "ann.html")
        heard(ann.stderr, "has let Ann in")
        clone.env |= {"POKE_SHOWDOWN_USERNAME": "Ben", "POKE_SHOWDOWN_PASSWORD": ""}
        said = clone(
            "poke.play",
            "run",
            *there,
            "--challenge",
            "Ann",
            "--seconds",
            "20",
            "--page",
            "ben.html",
        )
        told = re.search(
            r"^(won|lost|drawn) against Ann in \d+ turns: battle-gen1randombattle-1$", said, re.M
        )
        assert told
        assert "run as Ben in gen1randombattle: won " in said
        mirrored = {"won": "lost", "lost": "won", "drawn": "drawn"}[told[1]]
        heard(ann.stdout, "── Turn 1 ──")
        heard(ann.stdout, f"{mirrored} against Ben in ")
        ben = clone.start("poke.play", "run", *there, "--challenge", "Ann", "--battles", "9")
        heard(ben.stdout, "against Ann")  # and the next battle begins
        ann.send_signal(signal.SIGINT)
        out, err = ann.communicate(timeout=60)
        ben.send_signal(signal.SIGINT)
        ben.communicate(timeout=60)
    assert ann.returncode == 130
    (one,) = battles_of(clone.cwd / "ben.html")
    other, *_ = battles_of(clone.cwd / "ann.html")
    assert one["names"] == ["Ben", "Ann"] == other["names"][::-1]
    assert told[1] == ("drawn", "won", "lost")[one["outcome"]]
    assert other["outcome"] == -one["outcome"]
    assert all(battle["scenes"] for battle in (one, other))
    assert re.search(r"run as Ann in gen1randombattle: won \d+ of [1-9], ", out)
    assert "Traceback" not in err


@pytest.mark.showdown
def test_a_server_that_is_not_there_is_said_in_one_line(clone, installed, monkeypatch, capsys):
    monkeypatch.chdir(clone.cwd)
    monkeypatch.setenv("POKE_SHOWDOWN_USERNAME", "Ann")
    assert main(["run", "--server", "ws://127.0.0.1:9", "--accept"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("poke: ws://127.0.0.1:9/showdown/websocket does not let Ann in: ")
    assert said.err.count("\n") == 1


VISITS = {
    "--accept": "POKE_SHOWDOWN_USERNAME is not set: ",
    "--accept --server nowhere": "--server is the address of a server, ",
    "--ladder 1 --login http://elsewhere": "--login begins with https://: ",
    "--accept --format gen4randombattle": "run is of generation 1, these battles are of generation 4",
}


@pytest.mark.parametrize("arguments", VISITS)
def test_a_mistaken_visit_is_answered_in_one_line(clone, monkeypatch, capsys, arguments):
    monkeypatch.chdir(clone.cwd)
    monkeypatch.setenv("POKE_SHOWDOWN_USERNAME", "" if arguments == "--accept" else "Ann")
    assert main(["run", "--server", "ws://127.0.0.1:9", *arguments.split()]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"poke: {VISITS[arguments]}")


def shown_with(process, text):
    """Read what a process tells of its progress until a line begins so."""
    lines = []
    while not (lines and lines[-1].startswith(text)):
        lines.append(process.stderr.readline())
        assert process.poll() is None, lines
    return lines


@pytest.mark.showdown
@pytest.mark.parametrize(
    ("first", "number"),
    [
        pytest.param("1/5000", signal.SIGINT, marks=pytest.mark.slow),
        ("0/5000", signal.SIGTERM),
    ],
)
def test_who_interrupts_it_sees_what_was_played_so_far(clone, installed, first, number):
    process = clone.start("poke.play", "run", "--battles", "5000", "--concurrency", "2")
    shown_with(process, first)
    children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    if first == "1/5000":
        assert int(LINE.search(out).group(3)) >= 1
    else:
        assert out == "no battle was played\n"
    assert_gone(children)


@pytest.mark.showdown
def test_nothing_is_left_of_one_that_is_killed_but_its_page(clone, installed):
    how = ("--battles", "5000", "--concurrency", "2", "--page", "killed.html")
    process = clone.start("poke.play", "run", *how)
    shown_with(process, "1/5000")
    children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert len(children) >= 2, "a server, and a worker that reads battles"
    process.kill()
    process.communicate(timeout=60)
    assert_gone(children)
    assert any(one["outcome"] is not None for one in battles_of(clone.cwd / "killed.html"))


MISTAKES = {
    "nothing": "nothing: no such file or directory",
    "run --format gen4ou": "run is of generation 1, these battles are of generation 4",
    "run --format gen9randombattle": "run is of generation 1, these battles are of generation 9",
    "run --format gen1doublesou": "format gen1doublesou is not played: it is doubles, only singles are",
    "run --checkpoint other.pt": "run holds no checkpoint other.pt",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_answered_in_one_line(clone, monkeypatch, capsys, command):
    monkeypatch.chdir(clone.cwd)
    assert main(command.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"poke: {MISTAKES[command]}")
    assert said.err.count("\n") == 1


@pytest.mark.showdown
@pytest.mark.parametrize(
    ("battle_format", "line"),
    [
        ("gen1randombatle", "format gen1randombatle is unknown: did you mean gen1randombattle?"),
        ("gen1ou", "format gen1ou needs a file of teams"),
    ],
)
def test_what_a_server_would_not_answer_is_refused(
    clone, installed, monkeypatch, capsys, battle_format, line
):
    monkeypatch.chdir(clone.cwd)
    assert main(["run", "--format", battle_format, "--battles", "1"]) == 2
    assert capsys.readouterr().err == f"poke: {line}\n"


def test_a_policy_that_plays_something_else_is_refused(poke, monkeypatch, capsys):
    short = ("trainer.max_steps=2048", "eval.episodes=1", "hydra.run.dir=run")
    poke("poke.train", "algo=ppo", "env=cartpole", *short)
    monkeypatch.chdir(poke.cwd)
    assert main(["run"]) == 2
    assert capsys.readouterr().err.startswith("poke: run plays no battles: it sees ")


def test_a_policy_that_reads_another_layout_is_refused(clone, monkeypatch, capsys):
    monkeypatch.setattr(layout, "VERSION", layout.VERSION + 1)
    monkeypatch.chdir(clone.cwd)
    assert main(["run"]) == 2
    assert capsys.readouterr().err == (
        "poke: run reads battles in layout 2, and this poke shows them in layout 3: train it anew\n"
    )


def test_battles_recorded_in_an_older_layout_are_not_learned_from(poke):
    data = trajectories.read(Path(__file__).with_name("battles.parquet"))
    data.metadata["layout"]["version"] = 1
    trajectories.write(poke.cwd / "old.parquet", data)
    said = poke.train("data.path=old.parquet", run_dir="run", expect=2)
    assert said == (
        "poke: the data's battles are in layout 1, and this poke shows them in layout 2: "
        "record them anew with poke.record\n"
    )
    assert not (poke.cwd / "run").exists()


def test_a_missing_server_is_said_in_one_line(clone, monkeypatch, capsys):
    pytest.importorskip("poke_env", reason="needs poke-env: pip install 'poke[showdown]'")
    monkeypatch.setenv("POKE_SHOWDOWN_DIR", str(clone.cwd / "nothing"))
    monkeypatch.chdir(clone.cwd)
    assert main(["run", "--battles", "1"]) == 1
    said = capsys.readouterr()
    last = said.err.splitlines()[-1]
    assert last.endswith("run `python -m poke.envs.showdown install`") or "node 20" in last
    assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["league", "--help"], 0),
        (["run", "--battles", "0"], 2),
        (["run", "--opponent", "me"], 2),
        (["run", "--accept"], 2),
        (["run", "--server", "ws://nowhere"], 2),
        (["run", "--server", "ws://nowhere", "--accept", "--ladder", "3"], 2),
        (["run", "--server", "ws://nowhere", "--accept", "--opponent", "random"], 2),
        ([], 2),
    ],
)
def test_help_and_mistyped_commands_come_without_torch(arguments, status):
    code = (
        "import sys, json\nfrom poke.play import main\n"
        f"try: main({json.dumps(arguments)})\n"
        "except SystemExit as end: print(end.code)\n"
        "print('torch' in sys.modules)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert said.split()[-2:] == [str(status), "False"]


@pytest.mark.showdown
def test_battles_are_watched_in_the_terminal_and_kept_as_a_page(clone, installed):
    how = ("--opponent", "random", "--battles", "2", "--watch", "--page", "battle.html")
    said = clone("poke.play", "run", *how)
    assert said.count("── Turn 1 ──") == 2
    assert len(re.findall(r"^run (?:won|lost|drew)$", said, re.MULTILINE)) == 2
    assert "▸ " in said
    assert LINE.search(said).group(3) == "2"
    battles = battles_of(clone.cwd / "battle.html")
    assert [(one["agent"], one["opponent"]) for one in battles] == [("run", "random")] * 2
    for one in battles:
        assert said.count(f"── Turn {one['turns']} ──") >= 1
        assert any(scene["options"][0]["probability"] for scene in one["scenes"])


@pytest.mark.showdown
@pytest.mark.slow
def test_who_interrupts_it_keeps_the_page_of_what_was_played(clone, installed):
    how = ("--battles", "5000", "--concurrency", "2", "--page", "stopped.html")
    process = clone.start("poke.play", "run", *how)
    shown_with(process, "1/5000")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in err
    assert any(one["outcome"] is not None for one in battles_of(clone.cwd / "stopped.html"))


@pytest.mark.showdown
def test_a_person_is_told_where_to_play_until_ctrl_c(clone, installed):
    process = clone.start("poke.play", "run", "--browser")
    line = process.stdout.readline()
    url = re.search(r"http://127\.0\.0\.1:\d+/[\w-]+/", line).group()
    with urllib.request.urlopen(url, timeout=60) as page:
        assert b"What happened" in page.read()
    children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + signal.SIGINT, "")
    assert out == "no battle was played\n"
    assert_gone(children)


WRONG = {
    "--browser --watch": "--browser plays a person, battle by battle: leave out --watch",
    "--browser --seconds 3": "--browser plays a person, battle by battle: leave out --seconds",
    "--browser --battles 3": "--browser plays a person, battle by battle: leave out --battles",
    "--watch --concurrency 2": "--watch shows one battle at a time: leave out --concurrency",
    "--page nowhere/battle.html": "argument --page: nowhere/battle.html is no place for a file",
    "--page .": "argument --page: . is no place for a file",
}


@pytest.mark.parametrize("options", WRONG)
def test_options_that_do_not_go_together_are_refused(tmp_path, monkeypatch, capsys, options):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["run", *options.split()])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"error: {WRONG[options]}")


def battles_of(page):
    (packed,) = re.findall(r'id="data">([^<]*)<', page.read_text())
    return json.loads(gzip.decompress(base64.b64decode(packed)))["battles"]
