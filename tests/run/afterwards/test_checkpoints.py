"""The command that looks after a run's checkpoints."""

import subprocess
import sys

import pytest
import torch

from poke.checkpoints import main
from poke.run.directory import RunDirectory
from poke.training.checkpointing import CheckpointManager, CheckpointMetadata


class Algorithm:
    def __init__(self):
        self.network = torch.nn.Linear(3, 2)
        self.optimizer = torch.optim.AdamW(self.network.parameters())

    def get_state(self):
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "tied": self.network.weight,
            "num_updates": 4,
        }


@pytest.fixture
def algorithm():
    return Algorithm()


@pytest.fixture
def run_dir(tmp_path, algorithm):
    run_dir = tmp_path / "run"
    with CheckpointManager(run_dir / "checkpoints", max_to_keep=None) as manager:
        for step, loss in ((100, 0.5), (200, 0.25), (300, 0.75)):
            metrics = {"val/loss": loss, "train/loss": loss / 2}
            metadata = CheckpointMetadata(step // 100, step, metrics)
            manager.save({"algorithm": algorithm}, metadata)
        manager.save({"algorithm": algorithm}, CheckpointMetadata(4, 400))
    return run_dir


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_list_is_a_table_with_the_best_marked(run_dir, capsys):
    assert main(["list", str(run_dir)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["epoch", "step", "val/loss", "train/loss", "size", "age"]
    assert lines[1].split()[:4] == ["1", "100", "0.5", "0.25"]
    assert lines[2].split()[:4] == ["best", "2", "200", "0.25"]
    assert lines[4].split()[:2] == ["4", "400"]


def test_verify_reads_everything_and_changes_nothing(run_dir, capsys):
    assert main(["verify", str(run_dir)]) == 0
    assert "all good" in capsys.readouterr().out
    damage(run_dir / "checkpoints" / "checkpoint_epoch3_step300.pt")
    before = sorted(path.name for path in (run_dir / "checkpoints").iterdir())
    assert main(["verify", str(run_dir / "checkpoints")]) == 1
    out = capsys.readouterr().out
    assert "damaged  checkpoint_epoch3_step300.pt" in out
    assert "good     checkpoint_epoch2_step200.pt" in out
    assert out.endswith("1 damaged\n")
    assert sorted(path.name for path in (run_dir / "checkpoints").iterdir()) == before


def test_prune_keeps_the_newest_and_the_best(run_dir, capsys):
    assert main(["prune", str(run_dir), "--max-to-keep", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "deleted checkpoint_epoch1_step100.pt",
        "deleted checkpoint_epoch3_step300.pt",
    ]
    steps = [seen.step for seen in CheckpointManager(run_dir / "checkpoints").list_checkpoints()]
    assert steps == [200, 400]
    assert main(["prune", str(run_dir)]) == 0
    assert capsys.readouterr().out == "nothing to delete\n"


def test_prune_takes_leftovers_only_when_told(run_dir, algorithm):
    checkpoints = run_dir / "checkpoints"
    with CheckpointManager(checkpoints) as manager:
        manager.rewind(manager.load(checkpoints / "checkpoint_epoch3_step300.pt"))
        emergency = manager.save_emergency({"algorithm": algorithm}, CheckpointMetadata(9, 900))
    (checkpoints / "x.pt.corrupt").write_bytes(b"")
    main(["prune", str(run_dir)])
    assert emergency.exists()
    main(["prune", str(run_dir), "--leftovers"])
    assert sorted(path.name for path in checkpoints.iterdir()) == [
        "best.pt",
        "checkpoint_epoch2_step200.pt",
        "checkpoint_epoch3_step300.pt",
        "checkpoints.json",
    ]


def test_prune_leaves_a_run_in_progress_alone(run_dir, capsys):
    with RunDirectory(run_dir).held():
        assert main(["prune", str(run_dir)]) == 2
    assert "in use" in capsys.readouterr().err
    assert len(list((run_dir / "checkpoints").glob("checkpoint_*"))) == 4


def test_what_cannot_be_done_is_said_in_one_line(run_dir, tmp_path, capsys):
    assert main(["list", str(tmp_path)]) == 2
    damage(run_dir / "checkpoints" / "checkpoints.json")
    assert main(["list", str(run_dir)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "holds no checkpoints" in errors[0]
    assert all(line.startswith("poke: ") for line in errors)


def test_it_is_a_module_to_run(run_dir):
    command = [sys.executable, "-m", "poke.checkpoints", "list", str(run_dir)]
    assert "best" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
