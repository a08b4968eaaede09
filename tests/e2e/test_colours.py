"""Which commands colour, and that NO_COLOR, a pipe and a dumb terminal turn it off."""

import contextlib
import os
import pty
import re

import pytest

from .conftest import SMALL

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:[349]\d|10\d)(?:;\d+)*m")
DIM = re.compile(r"\x1b\[2m")
WATCH = """
from types import SimpleNamespace
from rich.text import Text
from poke.envs.showdown.watching.terminal import Terminal
terminal = Terminal(SimpleNamespace(player="p1"))
terminal._print(Text("words", style="green"))
"""
BATTLES = """
from types import SimpleNamespace
from poke.run.afterwards.progress import shown
with shown(2) as show:
    show(SimpleNamespace(battles=1, decisions=3, dropped=0, last_fault=""))
"""
COMMANDS = {
    "train": ["-m", "poke.train", *SMALL, "trainer.max_steps=3", "hydra.run.dir=run"],
    "compare": ["-m", "poke.compare", "runs", "--no-cache"],
    "play --watch": ["watch.py"],
    "battles": ["battles.py"],
}


@pytest.fixture
def said(tmp_path, session_poke, zygote):
    """Runs a command on a terminal, or on pipes, and returns what it printed."""
    if not (session_poke.cwd / "runs").exists():
        session_poke.train("trainer.max_steps=3", run_dir="runs/one")
    (tmp_path / "runs").symlink_to(session_poke.cwd / "runs")
    (tmp_path / "watch.py").write_text(WATCH)
    (tmp_path / "battles.py").write_text(BATTLES)

    def run(name, *, on_terminal=True, **environment):
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        env |= {"TERM": "xterm-256color", **environment}
        if not on_terminal:
            done = zygote.run(*COMMANDS[name], cwd=tmp_path, env=env)
            assert done.returncode == 0, done.stderr
            return done.stdout + done.stderr
        ours, theirs = pty.openpty()
        with open(theirs, "wb") as terminal:
            command = zygote.start(*COMMANDS[name], cwd=tmp_path, env=env, output=terminal)
        read = b""
        # An error says that the terminal's other end is closed.
        with open(ours, "rb", buffering=0) as screen, contextlib.suppress(OSError):
            while more := screen.read(1 << 16):
                read += more
        assert command.wait() == 0, read
        return read.decode()

    return run


def coloured(text):
    return bool(COLOUR.search(text) or DIM.search(text))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_gets_colours(name, said):
    assert coloured(said(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_an_empty_no_color_is_none(name, said):
    assert coloured(said(name, NO_COLOR=""))


@pytest.mark.parametrize("name", COMMANDS)
def test_no_color_turns_colours_off(name, said):
    text = said(name, NO_COLOR="1")
    assert text
    assert not COLOUR.search(text)


def test_no_color_leaves_nothing_dimmed_in_a_table(said):
    assert "\x1b" not in said("compare", NO_COLOR="1")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_gets_no_codes(name, said):
    text = said(name, on_terminal=False)
    assert text
    assert "\x1b" not in text


@pytest.mark.parametrize("name", COMMANDS)
def test_a_dumb_terminal_gets_no_colours(name, said):
    assert not coloured(said(name, TERM="dumb"))
