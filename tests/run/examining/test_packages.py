"""What is installed, told by descriptions of packages that these tests write."""

import tomllib
from pathlib import Path

import pytest

from poke.run.examining import packages


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Returns what installs a package's description before all others."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name, version, *requires, python=">=3.11"):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        lines = [f"Name: {name}", f"Version: {version}", f"Requires-Python: {python}"]
        lines += [f"Requires-Dist: {line}" for line in requires]
        (folder / "METADATA").write_text("Metadata-Version: 2.4\n" + "\n".join(lines) + "\n")

    return install


def test_the_extras_are_those_of_pyproject():
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert set(packages.EXTRAS) == set(tomllib.loads(text)["project"]["optional-dependencies"])


def test_all_is_there(site):
    site("poke", "9.0", "left==1.*", "right>=2; python_version > '3'", "never; extra == 'video'")
    site("left", "1.7")
    site("right", "2.0+cpu")
    found = packages.look_at_packages()
    assert (found.status, found.text) == ("ok", "all 2 that poke needs, in versions it takes")


def test_what_is_not_there_and_what_is_too_old_can_be_installed_by_one_command(site):
    site("poke", "9.0", "left==1.*", "right>=2", "other-system; sys_platform == 'none'")
    site("right", "1.9")
    found = packages.look_at_packages()
    assert found.status == "broken"
    assert found.needed
    assert found.text == "lacks left==1.*; right>=2 is asked for, 1.9 is installed"
    assert found.advice == "pip install 'left==1.*' 'right>=2'"


def test_the_command_fits_a_line_however_much_is_missing(site):
    site("poke", "9.0", *(f"a-package-of-number-{i}>=2" for i in range(20)))
    advice = packages.look_at_packages().advice
    assert len(advice) <= 76
    assert advice.endswith("'a-package-of-number-1>=2'")


def test_an_extra_that_is_there(site):
    site("poke", "9.0", "lacking", "left; extra == 'video'", "lacking-too; extra == 'sweep'")
    site("left", "1.7")
    found = packages.look_at_extra("video")
    assert (found.status, found.advice) == ("ok", "")


def test_an_extra_that_is_not_there(site):
    site("poke", "9.0", "lacking>=3; extra == 'video'", "left; extra == 'sweep'")
    found = packages.look_at_extra("video")
    assert (found.status, found.advice) == ("missing", "pip install 'poke[video]'")
    assert found.text.endswith(": lacks lacking>=3")
    assert not found.needed


def test_an_extra_in_a_version_that_poke_does_not_take_is_broken(site):
    site("poke", "9.0", "lacking>=3; extra == 'video'", "left==1.*; extra == 'video'")
    site("left", "2.0")
    found = packages.look_at_extra("video")
    assert (found.status, found.advice) == ("broken", "pip install 'poke[video]'")
    assert found.text.endswith(": left==1.* is asked for, 2.0 is installed")


def test_an_extra_of_what_an_extra_names(site):
    site("poke", "9.0", "games[boxes]; extra == 'video'")
    site("games", "1.0", "box-of-games>=2; extra == 'boxes'", "cards; extra == 'tables'")
    found = packages.look_at_extra("video")
    assert (found.status, found.text.partition(": ")[2]) == ("missing", "lacks box-of-games>=2")
    site("box_of_games", "2.1")
    assert packages.look_at_extra("video").status == "ok"


def test_a_python_that_poke_is_not_made_for(site):
    site("poke", "9.0", python=">=3.99")
    found = packages.look_at_python()
    assert (found.status, found.needed) == ("broken", True)
    assert ">=3.99" in found.advice


def test_which_torch_is_wanted(site):
    site("poke", "9.0", "left", "torch==2.13.0")
    assert packages.torch_wanted() == "==2.13.0"
