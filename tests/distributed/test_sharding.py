"""Weights that ranks share learn what whole ones learn, are saved in parts, and read as one policy."""

import shutil

import pytest
import torch

import poke as library
from poke.checkpoints import main as checkpoints_door
from poke.run.afterwards.replay import differences
from poke.training.checkpointing.files import format_bytes

from ..e2e.conftest import account
from ..lifecycle.comparing import assert_same_run, last_state, rows
from ..selecting import few
from .test_faults import IMPATIENT, SETTINGS, begin, end, found_in
from .test_ranks import RECORDED, assert_close, train

SHARED = "trainer.strategy=fsdp"
# A layer that is brought together by itself, see `poke.networks.sharding.LARGE`.
LARGE = ("network.hidden_sizes=[1024,1024]", "algo.max_grad_norm=0.5")
CLONES = {
    "two": ("bc", 2, LARGE),
    "three": ("bc", 3, LARGE),
    "in parts": ("bc", 2, ("trainer.accumulate=3",)),
    "with a memory": ("bc with a memory", 2, ()),
    "with a memory, in parts": ("bc with a memory", 2, ("trainer.accumulate=2",)),
    "a network for battles, computed again": (
        *("bc", 2),
        ("network=battle", "network.activation_checkpointing=true"),
    ),
}


@pytest.mark.parametrize("name", few(CLONES, "two"))
def test_shared_weights_learn_what_whole_ones_learn(poke, name):
    kind, ranks, more = CLONES[name]
    one = train(poke, kind, "one", 10, 1, *more)
    several = train(poke, kind, "several", 10, ranks, SHARED, *more)
    assert_close(several, one)
    for ours, theirs in zip(rows(several), rows(one), strict=True):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert float(ours[key]) == pytest.approx(float(theirs[key]), rel=2e-3, abs=1e-4), key


def test_each_rank_writes_its_part(poke, capsys):
    run = train(poke, "bc", "run", 4, 2, SHARED, *LARGE)
    parts = sorted((run / "checkpoints" / "segments").glob("*_step4_*/*"))
    assert [p.name for p in parts] == [".metadata", "__0_0.distcp", "__1_0.distcp"]
    (first, second) = (p.stat().st_size for p in parts[1:])
    assert abs(first - second) < 0.1 * first
    (own,) = (run / "checkpoints").glob("*_step4.pt")
    assert own.stat().st_size < 0.1 * first
    assert checkpoints_door(["list", str(run)]) == 0
    whole = own.stat().st_size + sum(p.stat().st_size for p in parts)
    assert format_bytes(whole) in capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(poke):
    process, processes = begin(poke, 2, SHARED, "checkpoint.save_every=5")
    while len(list((poke.cwd / "run" / "checkpoints").glob("*_step*.pt"))) < 4:
        assert process.poll() is None, process.communicate()
    processes[0].kill()
    end(process, processes)
    assert account(poke.cwd / "run")["status"] == "running"  # as of every run that was killed
    saved = int(rows(poke.cwd / "run")[-1]["step"]) + 5
    poke("poke.train", "resume=run", f"trainer.max_steps={saved}")
    poke(
        *("poke.train", *SETTINGS, "trainer.devices=2", SHARED),
        *("hydra.run.dir=whole", f"trainer.max_steps={saved}", "checkpoint.save_every=5"),
    )
    assert_same_run(poke.cwd / "run", poke.cwd / "whole")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((2, "fsdp"), (3, "fsdp"), marks=pytest.mark.slow),
        pytest.param((3, "fsdp"), (1, "ddp"), marks=pytest.mark.slow),
        ((1, "ddp"), (2, "fsdp")),
    ],
)
def test_other_ranks_and_strategies_go_on_in_the_same_order(poke, before, after):
    reference = train(poke, "bc", "reference", 20, 1)
    changed = train(poke, "bc", "changed", 10, before[0], f"trainer.strategy={before[1]}")
    poke(
        *("poke.train", "resume=changed", "trainer.max_steps=20"),
        *(f"trainer.devices={after[0]}", f"trainer.strategy={after[1]}"),
    )
    assert_close(changed, reference)
    found = differences(last_state(reference)["source"], last_state(changed)["source"])
    assert list(found) == []


@pytest.mark.slow
def test_rank_0_evaluates_by_whole_weights(poke):
    def train_evaluated(run_dir, ranks, *more):
        poke(
            *("poke.train", "algo=bc", "data=file", *(o for o in RECORDED if o != "~eval")),
            *(f"hydra.run.dir={run_dir}", "trainer.max_steps=12", "trainer.eval_every=4"),
            *("logger.backend_frequency=1", f"trainer.devices={ranks}", *more),
        )
        return rows(poke.cwd / run_dir)

    one, several = train_evaluated("one", 1), train_evaluated("several", 2, SHARED)
    ours, theirs = (
        [float(row["val/loss"]) for row in found if "val/loss" in row] for found in (several, one)
    )
    assert len(theirs) == 3
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert account(poke.cwd / "several")["best"]["step"] == 12


@pytest.mark.slow
def test_a_shared_policy_is_read_as_one(poke, capsys):
    shared = train(poke, "bc", "shared", 6, 2, SHARED)
    whole = train(poke, "bc", "whole", 6, 1)
    policy, reference = library.load(shared), library.load(whole)
    for name, weight in reference.network.get_weights().items():
        torch.testing.assert_close(policy.network.get_weights()[name], weight)
    poke("poke.export", "shared", "--out", "policy.safetensors")
    exported = library.load(poke.cwd / "policy.safetensors")
    for name, weight in policy.network.get_weights().items():
        assert torch.equal(exported.network.get_weights()[name], weight)
    assert checkpoints_door(["verify", str(shared)]) == 0
    # Another run begins with these weights, shared out or not, and with other layers where it has such.
    more = ("init_from.path=shared",)
    for name, ranks in (("from_one", 1), ("from_two", 2)):
        options = (SHARED,) if ranks > 1 else ()
        train(poke, "bc", name, 6, ranks, *options, *more)
    assert_close(poke.cwd / "from_two", poke.cwd / "from_one")
    other = ("network.hidden_sizes=[64,32]", "init_from.strict=false", *more)
    train(poke, "bc", "other_one", 6, 1, *other)
    train(poke, "bc", "other_two", 6, 2, SHARED, *other)
    assert_close(poke.cwd / "other_two", poke.cwd / "other_one")


@pytest.mark.slow
def test_a_flipped_byte_of_a_shard_is_found_and_the_checkpoint_before_serves(poke, capsys):
    run = train(poke, "bc", "run", 8, 2, SHARED, "checkpoint.save_every=4")
    shutil.copytree(run, poke.cwd / "good")
    paths = sorted((run / "checkpoints" / "segments").glob("*_step8_*/*"))
    assert len(paths) == 3
    for path in paths:
        good = path.read_bytes()
        path.write_bytes(
            good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :]
        )
        assert checkpoints_door(["verify", str(run)]) == 1
        assert f"{path.name} is damaged" in capsys.readouterr().out
        if path != paths[-1]:
            path.write_bytes(good)
    said = poke("poke.train", "resume=run", "trainer.max_steps=12")
    assert "trying the one before it" in said
    poke("poke.train", "resume=good", "trainer.max_steps=12")
    assert_same_run(run, poke.cwd / "good")


@pytest.mark.slow
def test_a_rank_that_is_asked_to_stop_saves_all_parts(poke):
    process, processes = begin(poke, 2, SHARED)
    processes[1].terminate()
    end(process, processes)
    told = account(poke.cwd / "run")
    assert told["status"] == "interrupted"
    assert list((poke.cwd / "run" / "checkpoints" / "segments").glob(f"*_step{told['step']}_*"))
    poke("poke.train", "resume=run", f"trainer.max_steps={told['step'] + 3}")


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_the_run(poke):
    process, processes = begin(poke, 3, SHARED, "checkpoint.save_every=2")
    processes[1].kill()
    said = end(process, processes)
    told = account(poke.cwd / "run")
    assert "rank 1: its process was killed by SIGKILL" in said
    assert (process.returncode, told["status"], told["rank"]) == (1, "failed", 1)
    poke("poke.train", "resume=run", f"trainer.max_steps={told['step'] + 3}")


@pytest.mark.slow
def test_a_rank_that_hangs_ends_the_run(poke):
    process, processes = begin(poke, 2, SHARED, IMPATIENT)
    processes[1].suspend()
    said = end(process, processes)
    told = account(poke.cwd / "run")
    assert "rank 1: hangs: nothing was heard of it for 20 s (trainer.rank_timeout)" in said
    assert (process.returncode, told["status"], told["rank"]) == (1, "failed", 1)


def test_what_cannot_be_shared_out_is_refused_in_a_line(poke):
    for options, line in (
        (("algo=ppo", "env=cartpole"), "cannot share weights out: trainer.strategy=ddp, or algo="),
        (("algo=bc", "trainer.compile=true"), "do not go together"),
        (("algo=bc", "trainer.precision=16-mixed"), "do not go together: bf16-mixed does"),
    ):
        said = poke("poke.train", *options, SHARED, "trainer.devices=2", "device=cpu", expect=2)
        assert line in said
        assert said.strip().count("\n") == 0


@pytest.mark.slow
def test_a_mirror_of_shards_goes_on_elsewhere(poke):
    store = f"checkpoint.mirror=file://{poke.cwd / 'store'}"
    train(poke, "bc", "run", 8, 2, SHARED, store)
    shutil.move(poke.cwd / "run", poke.cwd / "lost")
    poke("poke.train", f"resume=file://{poke.cwd / 'store'}/run", "trainer.max_steps=12")
    poke("poke.train", "resume=lost", "trainer.max_steps=12", "checkpoint.mirror=null")
    assert_same_run(poke.cwd / "run", poke.cwd / "lost")


OWN = """
import os

import torch.distributed.checkpoint as dcp

from poke.algorithms.bc import BehaviourCloning

write = dcp.FileSystemWriter.write_data

class Failing(BehaviourCloning):
    def update(self, batch):
        if self.num_updates == 5 and self._ranks.rank == 1:
            def fail(*args, **kwargs):
                if os.environ["SPOIL"] == "once":
                    dcp.FileSystemWriter.write_data = write
                raise OSError(28, "No space left on device")

            dcp.FileSystemWriter.write_data = fail
        return super().update(batch)
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["once", "always"])
def test_a_part_that_another_rank_cannot_write_is_tried_again_and_told(poke, what):
    (poke.cwd / "own.py").write_text(OWN)
    poke.env |= {"PYTHONPATH": found_in(poke.cwd), "SPOIL": what}
    said = poke(
        *("poke.train", *SETTINGS, "trainer.devices=2", SHARED, "algo._target_=own.Failing"),
        *("trainer.max_steps=12", "checkpoint.save_every=4", "hydra.run.dir=run"),
        expect=0 if what == "once" else 1,
    )
    run = poke.cwd / "run"
    saved = sorted(int(p.stem.rpartition("step")[2]) for p in run.glob("checkpoints/*_step*.pt"))
    if what == "once":
        assert "not written" not in said
        assert saved == [0, 4, 8, 12]
    else:
        assert "the checkpoints before it stand: [Errno 28] No space left on device" in said
        assert saved == [0, 4]
        assert account(run)["status"] == "failed"
    assert checkpoints_door(["verify", str(run)]) == 0
    assert len(list((run / "checkpoints" / "segments").iterdir())) == len(saved)
