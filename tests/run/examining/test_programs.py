"""Programs that battles need, where only those of these tests are on the path."""

import json
import sys

import pytest

from poke.envs.showdown import installation
from poke.run.examining import programs


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Returns what writes a program onto an otherwise empty path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installation, "_node_wheel", lambda: None)

    def write(name, text):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    return write


def saying(words):
    return f"#!{sys.executable}\nprint({words!r})\n"


def test_a_node_that_is_new_enough(path):
    path("node", saying("v22.1.0"))
    found = programs.look_at_node()
    assert found.status == "ok"
    assert found.text.startswith("22.1.0, /")


def test_no_node(path):
    found = programs.look_at_node()
    assert (found.status, found.needed) == ("missing", False)
    assert "pip install 'poke[showdown]'" in found.advice


def test_an_old_node(path):
    path("node", saying("v18.0.0"))
    found = programs.look_at_node()
    assert found.status == "broken"
    assert "version 18" in found.text
    assert "20 or newer" in found.advice


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The file that says which version of Pokemon Showdown is installed."""
    monkeypatch.setenv("POKE_SHOWDOWN_DIR", str(tmp_path / "showdown"))
    return tmp_path / "showdown" / "node_modules" / "pokemon-showdown" / "package.json"


def test_the_simulator(package):
    found = programs.look_at_showdown()
    assert (found.status, found.advice) == ("missing", "python -m poke.envs.showdown install")
    package.parent.mkdir(parents=True)
    package.write_text(json.dumps({"version": "0.1.0"}))
    found = programs.look_at_showdown()
    assert (found.status, found.advice) == ("broken", "python -m poke.envs.showdown install")
    package.write_text(json.dumps({"version": installation.pinned_version()}))
    assert programs.look_at_showdown().status == "ok"


def test_a_browser(path):
    assert programs.look_at_browser().status == "missing"
    path("chromium", saying("Chromium 156.0.80 built on Debian"))
    found = programs.look_at_browser()
    assert found.status == "ok"
    assert found.text.startswith("chromium 156.0.80, ")
