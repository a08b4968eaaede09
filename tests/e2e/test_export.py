"""A policy as a user has it: trained, copied, loaded elsewhere, exported."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import poke as package

# Where nothing that trained the policy can be imported.
ELSEWHERE = """
import json, sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in GONE:
            raise ModuleNotFoundError(f"no {name} here", name=name)

GONE = {"gymnasium", "hydra", "omegaconf", "pandas", "pyarrow", "wandb", "tensorboard", "minari"}
sys.meta_path.insert(0, Gone())
import numpy as np
import poke
given = np.load("given.npz")
mask = given["mask"] if "mask" in given else None
policy = poke.load("copy")
np.save("actions.npy", policy.act(given["observation"], action_mask=mask))
assert not GONE & set(sys.modules)
"""


@pytest.mark.parametrize("algo", ["bc", "ppo"])
def test_a_copied_run_acts_where_nothing_of_its_training_is_left(poke, algo):
    if algo == "bc":
        poke.train("trainer.max_steps=5", run_dir="run")
    else:
        poke(
            *("poke.train", "algo=ppo", "env=cartpole", "env.normalize_observation=true"),
            *("trainer.max_steps=4096", "eval.episodes=2", "hydra.run.dir=run"),
        )
    policy = package.load(poke.cwd / "run")
    generator = np.random.default_rng(0)
    space, shape = policy.observation_space, (300, *policy.observation_space.shape)
    if policy.masked:
        given = {
            "observation": generator.integers(0, 9, shape).astype(space.dtype),
            "mask": generator.random((300, policy.action_space.mask_size)) < 0.5,
        }
        given["mask"][:, 0] = True
    else:
        given = {"observation": generator.standard_normal(shape).astype(np.float32)}
    expected = policy.act(given["observation"], action_mask=given.get("mask"))
    assert len(np.unique(expected)) > 1

    elsewhere = poke.cwd / "elsewhere"
    (elsewhere / "copy").mkdir(parents=True)
    shutil.copytree(poke.cwd / "run" / "checkpoints", elsewhere / "copy" / "checkpoints")
    shutil.rmtree(poke.cwd / "run")
    np.savez(elsewhere / "given.npz", **given)
    subprocess.run([sys.executable, "-c", ELSEWHERE], cwd=elsewhere, check=True)
    assert np.array_equal(np.load(elsewhere / "actions.npy"), expected)


def test_a_run_is_exported_in_every_format(poke):
    train = ("algo=ppo", "env=cartpole", "trainer.max_steps=2048", "checkpoint.save_every=1000")
    poke("poke.train", *train, "checkpoint.max_to_keep=9", "hydra.run.dir=run")
    for name in ("safetensors", "torchscript", "onnx"):
        if name == "onnx":
            pytest.importorskip("onnxruntime", reason="needs the extra export")
        said = poke("poke.export", "run", "--format", name, "--out", f"some/policy.{name}")
        assert said.startswith(f"some/policy.{name}: the policy of run/checkpoints/")
        assert len(said.splitlines()) == 1, "neither torch nor its exporters say more"
    said = poke("poke.export", "run", "--checkpoint", "newest", "--out", "newest.safetensors")
    assert "step 2048; takes observation float32 [4]" in said
    again = poke("poke.export", "newest.safetensors", "--out", "again.safetensors")
    assert "step 2048" in again
    first, second = (poke.cwd / f"{name}.safetensors" for name in ("newest", "again"))
    assert first.read_bytes() == second.read_bytes()


MISTAKES = {
    ("none", "--out", "x"): "none: no such file or directory",
    (".", "--out", "x"): ". holds no checkpoint",
    ("text", "--out", "x"): "text is neither a checkpoint nor an exported policy, or is damaged",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_answered_in_one_line(tmp_path, monkeypatch, capsys, arguments):
    from poke.export import main

    monkeypatch.chdir(tmp_path)
    Path("text").write_text("text")
    assert main(list(arguments)) == 2
    assert capsys.readouterr().err == f"poke: {MISTAKES[arguments]}\n"
    assert [p.name for p in tmp_path.iterdir()] == ["text"]


def test_a_wrong_format_is_answered_before_torch_is_imported():
    code = (
        "import sys; from poke.export import main\ntry: main(['x', '--format', 'pt', '--out', 'y'])"
    )
    code += "\nexcept SystemExit as error: sys.exit(9 if 'torch' in sys.modules else error.code)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "invalid choice: 'pt'" in done.stderr
