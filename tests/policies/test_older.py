"""Runs from before policies said what they are made of; `format2` is one of them, as the poke of then left it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import poke
from poke.export import main
from poke.policies.loading import NoDescriptionError

FORMAT2 = Path(__file__).with_name("format2")
HOSTILE = {"_target_": "os.system", "command": "touch marker"}


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Path(shutil.copytree(FORMAT2 / "run", tmp_path / "run"))


def change(run_dir, group, values):
    for name in ("config.yaml", "config.json", ".hydra/config.yaml"):
        config = json.loads((run_dir / "config.json").read_text())
        config[group].update(values)
        (run_dir / name).write_text(json.dumps(config))  # JSON is YAML


@pytest.mark.parametrize("given", ["run", "run/checkpoints/checkpoint_epoch0_step4096.pt"])
def test_its_run_says_what_it_is_made_of(run_dir, given, capsys):
    with pytest.raises(NoDescriptionError, match=r"poke\.export RUN"):
        poke.load(given)
    assert main([given, "--out", "policy.safetensors"]) == 0
    assert "step 4096; takes observation float32 [4]" in capsys.readouterr().out
    saved = json.loads((FORMAT2 / "actions.json").read_text())
    seen = np.random.default_rng(0).standard_normal((200, 4)) * [1, 1, 0.1, 1]
    policy = poke.load("policy.safetensors")
    assert policy.act(seen.astype(np.float32)).tolist() == saved["action"]


CHANGES = {
    **{group: (group, HOSTILE) for group in ("env", "network", "algo", "data")},
    "env.kwargs": ("env", {"kwargs": {"a": [HOSTILE]}}),
    "a method": ("network", {"_target_": "poke.networks.mlp.math.prod"}),
    "an import": ("env", {"id": "stranger:Env-v0"}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_hostile_config_is_not_executed(run_dir, what, capsys):
    Path("stranger.py").write_text("open('marker', 'w').close()")
    change(run_dir, *CHANGES[what])
    assert main(["run", "--out", "policy.safetensors"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    named = {"a method": "poke.networks.mlp.math.prod", "an import": "stranger"}
    assert named.get(what, "os.system") in line
    assert not Path("marker").exists()
    assert not Path("policy.safetensors").exists()


def test_what_is_missing_is_said_in_one_line(run_dir, capsys):
    shutil.rmtree(run_dir / ".hydra")
    (run_dir / "config.yaml").unlink()
    (run_dir / "config.json").unlink()
    assert main(["run", "--out", "policy.safetensors"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
