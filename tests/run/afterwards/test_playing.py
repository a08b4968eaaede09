"""Whatever ends the playing: what was finished is told, and how it ended, in a line."""

import asyncio
import errno
import itertools
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from poke.envs.showdown.installation import ShowdownError
from poke.run.afterwards.playing.players import PlayingError
from poke.run.afterwards.playing.reporting import reporting
from poke.run.afterwards.playing.tally import Tally

ERRORS = {
    "a killed server": ShowdownError("the Pokemon Showdown server died of SIGKILL"),
    "a lost connection": ShowdownError("a player's connection\nto the server is lost"),
    "a full disk": OSError(errno.ENOSPC, "No space left on device", "battle.html"),
    "a wrong value": ValueError("no such thing"),
}
PLAYED = SimpleNamespace(
    outcome=1, turns=20, decisions=30, refused=0, late=0, seconds=0.3, fault=None
)


def tally_of(number):
    tally = Tally()
    for _ in range(number):
        tally.add(PLAYED)
    return tally


@pytest.mark.parametrize(("error", "number"), [*itertools.product(ERRORS, (0, 3))])
def test_an_error_is_a_line_after_what_was_played(error, number, capsys):
    with pytest.raises(PlayingError) as caught, reporting(tally_of(number), "run against foe"):
        raise ERRORS[error]
    assert caught.value.status == 1
    assert "\n" not in str(caught.value)
    out = capsys.readouterr().out
    assert out.startswith("run against foe: won 3 of 3, ") if number else out == ""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("number", [0, 3])
def test_a_signal_ends_it_after_what_was_played(sent, number, capsys):
    async def play():
        os.kill(os.getpid(), sent)
        await asyncio.Event().wait()

    with reporting(tally_of(number), "run against foe") as stoppable:
        stoppable.run(play)
    assert stoppable.status == 128 + sent
    expected = "run against foe: won 3 of 3, " if number else "no battle was played"
    assert capsys.readouterr().out.startswith(expected)


DOOR = """
import sys, types
playing = sys.modules["poke.run.afterwards.playing"] = types.ModuleType("playing")
playing.PlayingError = RuntimeError
playing.play = lambda run, **options: print("won", flush=True)
from poke.play import main
sys.exit(main(["run"]))
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_what_cannot_be_printed_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", DOOR], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (
        1,
        "poke: what is printed cannot be written: No space left on device\n",
    )
