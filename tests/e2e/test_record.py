import importlib.util
import signal
import subprocess
import sys

import numpy as np
import pytest

from poke.data import trajectories


@pytest.fixture
def installed():
    if importlib.util.find_spec("poke_env") is None:
        pytest.skip("needs poke-env: pip install 'poke[showdown]'")
    from poke.envs.showdown.installation import ShowdownError, find_node, find_package

    try:
        find_node(), find_package()
    except ShowdownError as error:
        pytest.skip(str(error))


@pytest.mark.showdown
def test_three_battles_are_recorded_on_a_real_server(poke, installed):
    said = poke(
        "poke.record", "env=showdown", "battles=3", "concurrency=3", "out=some/three.parquet"
    )
    assert "some/three.parquet holds 3 battles" in said
    data = trajectories.read(poke.cwd / "some" / "three.parquet")
    assert data.num_episodes == 3
    assert data.terminated.sum() == 4, "both sides of the first battle, one of the others"
    assert len(data) > 3 * 5
    assert data.action_mask[np.arange(len(data)), data.action].all()
    assert data.metadata["format"] == "gen1randombattle"
    assert data.metadata["versions"]["pokemon-showdown"] == "0.11.11"
    assert [p.name for p in (poke.cwd / "some").iterdir()] == ["three.parquet"]


@pytest.mark.showdown
def test_a_recording_stopped_by_sigterm_goes_on(poke, installed):
    command = ("poke.record", "opponents=[random]", "out=t.parquet")
    process = poke.start(*command, "battles=5000")
    while not process.stderr.readline().startswith("1/5000 battles"):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, out + err
    assert "the same command goes on from there" in out
    assert not (poke.cwd / "t.parquet").exists()
    (part,) = (poke.cwd / "t.parquet.parts").glob("part-*")
    kept = trajectories.read(part).num_episodes

    said = poke(*command, f"battles={kept + 2}")
    assert f"{kept}/{kept + 2} battles" in said
    assert trajectories.read(poke.cwd / "t.parquet").num_episodes == kept + 2
    assert not (poke.cwd / "t.parquet.parts").exists()


MISTAKES = {
    "battles=0 out=x.parquet": "battles must be >= 1, not 0",
    "battles=many out=x.parquet": "battles must be a whole number, not 'many'",
    "bttles=3 out=x.parquet": "unknown key bttles (did you mean battles?)",
    "out=x": "out must end in .parquet, not 'x'",
    "battles=3": "out must be given, as in out=VALUE",
    "format=gen1ou out=x.parquet": "format must be gen1randombattle to gen9randombattle, not 'gen1ou'",
    "expert=me out=x.parquet": "expert must be one of simple_heuristics, max_base_power, random, not 'me'",
    "opponents=[] out=x.parquet": "opponents must name at least one player, as in opponents=[random]",
    "env=cartpole out=x.parquet": "this environment needs a teacher, as in policy=RUN_DIR",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_answered_in_one_line(capsys, command):
    from poke.record import main

    assert main(command.split()) == 2
    assert capsys.readouterr().err == f"poke: {MISTAKES[command]}\n"


def test_help_and_mistakes_come_without_torch():
    check = (
        "import sys; from poke.record import main; print(main({})); print('torch' in sys.modules)"
    )
    for arguments, status in ((["--help"], 0), (["battles=0", "out=x.parquet"], 2)):
        code = check.format(arguments)
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        assert said.split()[-2:] == [str(status), "False"]


def test_help_names_every_knob(capsys):
    from poke.config import composing
    from poke.record import main

    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for key in composing.to_plain(composing.compose("record", [])):
        assert f" {key}=" in said


def test_a_missing_server_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    pytest.importorskip("poke_env", reason="needs poke-env: pip install 'poke[showdown]'")
    from poke.record import main

    monkeypatch.setenv("POKE_SHOWDOWN_DIR", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    assert main(["out=x.parquet"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("poke: ")
    assert last.endswith("run `python -m poke.envs.showdown install`") or "node 20" in last
