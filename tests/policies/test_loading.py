"""What `poke.load` takes, and what it says of everything else."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import poke
from poke.policies.export import tracing
from poke.policies.loading import NoDescriptionError, read
from poke.policies.policy import PolicyError
from poke.training.checkpointing import CheckpointManager, CheckpointMetadata

from .kinds import observations_of, policy_of


class Weights:
    def __init__(self, state):
        self.state = state

    def get_state(self):
        return self.state


@pytest.fixture
def run_dir(tmp_path):
    """A run of three checkpoints, the second the best, each another policy."""
    with CheckpointManager(tmp_path / "run" / "checkpoints") as manager:
        for step, loss in ((100, 0.5), (200, 0.25), (300, 0.75)):
            metadata = CheckpointMetadata(0, step, {"val/loss": loss})
            manager.save({"policy": policy_of("normalised", seed=step)}, metadata)
    return tmp_path / "run"


def acts_like(policy, seed):
    expected = policy_of("normalised", seed=seed)
    seen = observations_of(expected, 200)
    return np.array_equal(policy.act(seen), expected.act(seen))


def test_a_run_is_its_best_its_newest_or_a_named_checkpoint(run_dir):
    assert acts_like(poke.load(run_dir), 200)
    assert acts_like(poke.load(str(run_dir), checkpoint="newest"), 300)
    name = "checkpoint_epoch0_step100.pt"
    assert acts_like(poke.load(run_dir, checkpoint=name), 100)
    assert acts_like(poke.load(run_dir / "checkpoints" / name), 100)
    assert read(run_dir).about == {"step": 200, "epoch": 0, "from": "checkpoint_epoch0_step200.pt"}


def test_a_moved_run_without_its_index_is_loaded(run_dir, tmp_path):
    moved = tmp_path / "moved"
    shutil.move(run_dir, moved)
    (moved / "checkpoints" / "checkpoints.json").unlink()
    assert acts_like(poke.load(moved), 200)
    (moved / "checkpoints" / "best.pt").unlink()
    assert acts_like(poke.load(moved), 300)


def test_weights_only_are_a_whole_policy(tmp_path):
    policy = policy_of("normalised")
    with CheckpointManager(tmp_path / "checkpoints", contents="weights") as manager:
        metadata = CheckpointMetadata(0, 1)
        manager.save({"policy": policy, "algorithm": Weights({"secret": 1})}, metadata)
    loaded = poke.load(tmp_path)
    assert acts_like(loaded, 0)
    assert loaded.normalizer.moments.count == policy.normalizer.moments.count


def test_what_was_loaded_can_be_saved_and_loaded_again(run_dir, tmp_path):
    with CheckpointManager(tmp_path / "again" / "checkpoints") as manager:
        manager.save({"policy": poke.load(run_dir)}, CheckpointMetadata(0, 1))
    assert acts_like(poke.load(tmp_path / "again"), 200)


def test_loading_leaves_torchs_random_state_alone(run_dir):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    poke.load(run_dir)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_fixes_exploration(run_dir):
    seen = observations_of(policy_of("normalised"), 100)
    first, second = (poke.load(run_dir, seed=5).act(seen, explore=True) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, poke.load(run_dir, seed=6).act(seen, explore=True))


def said_of(path, **options):
    with pytest.raises(PolicyError) as raised:
        poke.load(path, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_everything_else_is_answered_in_one_line(run_dir, tmp_path):
    assert said_of(tmp_path / "none") == f"{tmp_path / 'none'}: no such file or directory"
    assert said_of(tmp_path) == f"{tmp_path} holds no checkpoint"
    assert said_of(run_dir, checkpoint="x.pt") == f"{run_dir} holds no checkpoint x.pt"
    for name, data in {"empty": b"", "text": b"some text", "x.safetensors": b"{}"}.items():
        (tmp_path / name).write_bytes(data)
        assert said_of(tmp_path / name).startswith(str(tmp_path / name))

    with CheckpointManager(tmp_path / "own" / "checkpoints") as manager:
        manager.save({"algorithm": Weights({"table": torch.ones(3)})}, CheckpointMetadata(0, 1))
    assert "lacks the component policy (it holds algorithm)" in said_of(tmp_path / "own")

    for number, state in enumerate(
        (
            {"table": torch.ones(3)},
            {"description": 3, "network": {}, "normalizer": None},
            {**policy_of("discrete").get_state(), "network": {}},
            {
                **policy_of("discrete").get_state(),
                "network": policy_of("memory").network.get_weights(),
            },
            {**policy_of("discrete").get_state(), "normalizer": {"mean": torch.ones(4)}},
            {**policy_of("normalised").get_state(), "normalizer": {"mean": torch.ones(4)}},
        )
    ):
        with CheckpointManager(tmp_path / str(number) / "checkpoints") as manager:
            manager.save({"policy": Weights(state)}, CheckpointMetadata(0, 1))
        assert said_of(tmp_path / str(number)).startswith(str(tmp_path / str(number)))


def test_a_damaged_checkpoint_is_refused(run_dir):
    file = run_dir / "checkpoints" / "checkpoint_epoch0_step200.pt"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    (run_dir / "checkpoints" / "best.pt").unlink()
    file.write_bytes(data)
    assert "checksum" in said_of(file)
    assert "checksum" in said_of(run_dir)


def test_a_pickle_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "marker"), "w")

    torch.save({"components": {"policy": Trap()}}, tmp_path / "trap.pt")
    assert "none of its code was run" in said_of(tmp_path / "trap.pt")
    assert not (tmp_path / "marker").exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_graph_is_named_as_one(tmp_path):
    (tmp_path / "graph.pt").write_bytes(tracing.torchscript(policy_of("discrete"), {}))
    (tmp_path / "graph.onnx").write_bytes(b"\x08\x0a")
    for name in ("graph.pt", "graph.onnx"):
        assert "is a graph, which torch.jit.load or onnxruntime runs" in said_of(tmp_path / name)


def test_a_policy_without_a_description_says_how_to_get_one(tmp_path):
    state = {**policy_of("discrete").get_state(), "description": None}
    with CheckpointManager(tmp_path / "checkpoints") as manager:
        manager.save({"policy": Weights(state)}, CheckpointMetadata(0, 1))
    assert "`python -m poke.export RUN`" in said_of(tmp_path)
    with pytest.raises(NoDescriptionError):
        poke.load(tmp_path)


def test_importing_poke_brings_no_torch_and_loading_little_besides(run_dir):
    code = """
import sys, poke
assert "torch" not in sys.modules and "numpy" not in sys.modules
policy = poke.load(sys.argv[1])
policy.act([0.0, 0.0, 0.0, 0.0])
unwanted = {"gymnasium", "hydra", "omegaconf", "pandas", "pyarrow", "wandb", "tensorboard", "rich",
            "safetensors", "onnx", "onnxruntime", "poke.run", "poke.envs", "poke.data",
            "poke.algorithms", "poke.config"}
sys.exit(f"imported: {unwanted & set(sys.modules)}" if unwanted & set(sys.modules) else 0)
"""
    done = subprocess.run([sys.executable, "-c", code, run_dir], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
