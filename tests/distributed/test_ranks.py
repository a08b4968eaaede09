"""Several ranks learn what one would: the same order, the same draws, the same steps, and a resume goes on exactly."""

from pathlib import Path

import pytest
import torch

from poke.run.afterwards.replay import differences

from ..e2e.conftest import account
from ..lifecycle.comparing import assert_same_run, last_state, rows
from ..selecting import few
from .test_faults import found_in

BATTLES = Path(__file__).parent.parent / "e2e" / "battles.parquet"
COMMON = ("device=cpu", "logger.tensorboard.enabled=false", "~eval", "checkpoint.save_every=0")
RECORDED = (f"data.path={BATTLES}", "network=mlp64", "data.batch_size=48", *COMMON)
PLAYED = ("env.num_envs=6", *COMMON)
STEADY = ("algo.lr_schedule=constant",)  # whatever the run's length
EVERY_ROW = ("logger.backend_frequency=1",)
LEARNERS = {
    "bc": ("algo=bc", "data=file", *RECORDED),
    "bc with a memory": (
        *("algo=bc", "data=file", *RECORDED, "network=auto", "network.memory=gru"),
        *("network.hidden_sizes=[16]", "data.batch_size=192", "data.sequence_length=16"),
    ),
    "cql": ("algo=cql", *RECORDED, "checkpoint.monitor=train/critic_loss"),
    "iql": ("algo=iql", *RECORDED, "checkpoint.monitor=train/critic_loss"),
    "crr": ("algo=crr", *RECORDED, "checkpoint.monitor=train/critic_loss"),
    "awr": ("algo=awr", *RECORDED, "checkpoint.monitor=train/value_loss"),
    "ppo": (
        *("algo=ppo", *STEADY, *PLAYED, "data.num_steps=16", "algo.minibatch_size=24"),
        "algo.num_epochs=2",
    ),
    "ppo by torch": (
        *("algo=ppo", *STEADY, *PLAYED, "data.num_steps=16", "algo.minibatch_size=24"),
        *("algo.num_epochs=2", "algo.fast_path=false", "algo.target_kl=0.02"),
    ),
    "ppo with a memory": (
        *("algo=ppo", *STEADY, *PLAYED, "data.num_steps=16", "algo.minibatch_size=32"),
        *("algo.num_epochs=2", "network=auto", "network.memory=gru", "network.hidden_sizes=[16]"),
    ),
    "ppo that overlaps": (
        *("algo=ppo", *STEADY, *PLAYED, "data.num_steps=16", "algo.minibatch_size=24"),
        *("algo.num_epochs=2", "data.overlap=true"),
    ),
    "ppo of numbers": (
        *(
            "algo=ppo",
            "env=pendulum",
            *STEADY,
            *PLAYED,
            "data.num_steps=16",
            "algo.minibatch_size=24",
        ),
        "algo.num_epochs=2",
    ),
}
# Each rank draws from a part of the buffer, or learns of observations by itself for a block: not what one would.
OTHERS = {
    "dqn": ("algo=dqn", *PLAYED, "data.warmup_steps=60", "data.batch_size=24", "network=mlp64"),
    "sac": (
        *("algo=sac", *PLAYED, "data.warmup_steps=60", "data.batch_size=24"),
        *("network.hidden_sizes=[16]", "checkpoint.monitor=train/critic_loss"),
    ),
    "td3 by priority": (
        *("algo=td3", *PLAYED, "data.warmup_steps=60", "data.batch_size=24", "data.alpha=0.6"),
        "data.beta_steps=1000",
        *("network.hidden_sizes=[16]", "checkpoint.monitor=train/critic_loss"),
    ),
    "ppo that normalises": (
        *(
            "algo=ppo",
            "env=pendulum",
            *STEADY,
            *PLAYED,
            "data.num_steps=16",
            "algo.minibatch_size=24",
        ),
        *("env.normalize_observation=true", "env.normalize_reward=true", "algo.num_epochs=2"),
    ),
}
MONITOR = {"bc": "train/loss", "pp": "train/loss", "dq": "train/loss"}


def train(poke, name, run_dir, steps, ranks, *more):
    monitor = MONITOR.get(name[:2])
    poke(
        *("poke.train", *{**LEARNERS, **OTHERS}[name], *EVERY_ROW, f"hydra.run.dir={run_dir}"),
        *(f"trainer.max_steps={steps}", "trainer.eval_every=0", f"trainer.devices={ranks}"),
        *([f"checkpoint.monitor={monitor}"] if monitor else []),
        *more,
    )
    return poke.cwd / run_dir


def steps_of(name):
    """So many steps that there are 20 updates or more."""
    return 20 * 6 * 16 if name.startswith("ppo") else 20


def numbers(state):
    """Weights and what the optimizers gathered, one after the other."""
    if isinstance(state, dict):
        return [t for key in sorted(state, key=str) for t in numbers(state[key])]
    if isinstance(state, list | tuple):
        return [t for one in state for t in numbers(one)]
    whole = isinstance(state, torch.Tensor) and state.is_floating_point()
    return [state.double().flatten()] if whole else []


def assert_close(run_dir, reference):
    ours, theirs = (last_state(path) for path in (run_dir, reference))
    for part in ("policy", "algorithm"):
        one, other = (torch.cat(numbers(state[part])) for state in (ours, theirs))
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert ours["trainer"]["step"] == theirs["trainer"]["step"]


@pytest.mark.parametrize("name", few(LEARNERS, "bc", "ppo"))
def test_ranks_learn_what_one_learns(poke, name):
    one = train(poke, name, "one", steps_of(name), 1)
    ranks = 3 if name in ("bc", "ppo") else 2
    several = train(poke, name, "several", steps_of(name), ranks)
    assert_close(several, one)
    for ours, theirs in zip(rows(several), rows(one), strict=True):
        assert ours.keys() == theirs.keys()
        for key in ours.keys() - {"train/episode_return", "train/episode_length"}:
            assert float(ours[key]) == pytest.approx(float(theirs[key]), rel=2e-3, abs=1e-4), key
    told = account(several)
    assert (told["ranks"], told["rank"], told["status"]) == (ranks, None, "finished")


@pytest.mark.parametrize("name", few(["bc with a memory", "ppo", "ppo with a memory"], "ppo"))
def test_ranks_that_compute_gradients_in_parts_learn_what_one_learns_at_once(poke, name):
    one = train(poke, name, "one", steps_of(name) // 4, 1)
    several = train(poke, name, "several", steps_of(name) // 4, 2, "trainer.accumulate=2")
    assert_close(several, one)


@pytest.mark.parametrize(
    "name",
    few(["bc", "cql", "ppo", "bc with a memory", "ppo that overlaps", *OTHERS], "ppo", "dqn"),
)
def test_as_many_ranks_go_on_bit_for_bit(poke, name):
    half = 3 * 6 * 16 if name.startswith("ppo") else 10 if name in LEARNERS else 120
    whole = train(poke, name, "whole", 2 * half, 2, f"checkpoint.save_every={half}")
    parts = train(poke, name, "parts", half, 2)
    poke("poke.train", "resume=parts", f"trainer.max_steps={2 * half}")
    assert_same_run(parts, whole)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(3, 1, marks=pytest.mark.slow),
        pytest.param(1, 2, marks=pytest.mark.slow),
        (2, 3),
    ],
)
def test_other_ranks_go_on_in_the_same_order(poke, before, after):
    reference = train(poke, "bc", "reference", 20, 1)
    changed = train(poke, "bc", "changed", 10, before)
    said = poke("poke.train", "resume=changed", "trainer.max_steps=20", f"trainer.devices={after}")
    assert f"going on with {after} ranks, where there were {before}" in said
    assert_close(changed, reference)
    found = differences(last_state(reference)["source"], last_state(changed)["source"])
    assert list(found) == []


@pytest.mark.parametrize("name", few(["ppo", "ppo that overlaps"], "ppo"))
def test_environments_begin_anew_with_other_ranks(poke, name):
    train(poke, name, "played", 96, 2)
    said = poke("poke.train", "resume=played", "trainer.max_steps=192", "trainer.devices=3")
    assert "env.ranks is 3, was 2: all episodes begin anew" in said
    assert account(poke.cwd / "played")["step"] == 192


def test_a_buffer_in_parts_is_refused_to_other_ranks(poke):
    train(poke, "dqn", "buffered", 60, 2)
    said = poke("poke.train", "resume=buffered", "trainer.devices=1", expect=2)
    assert "its replay buffer is in 2 parts, a rank each, and there are 1 ranks" in said


@pytest.mark.slow
def test_a_fork_of_ranks_is_evaluated_by_the_first(poke):
    parent = train(poke, "bc", "parent", 10, 2)
    poke("poke.train", f"fork={parent}", "trainer.max_steps=20", "hydra.run.dir=child")
    reference = train(poke, "bc", "reference", 20, 2, "checkpoint.save_every=10")
    assert list(differences(last_state(reference), last_state(poke.cwd / "child"))) == []
    poke(
        *("poke.train", "algo=bc", "data=file", *RECORDED[:3], *EVERY_ROW, "trainer.devices=2"),
        *("trainer.max_steps=20", "trainer.eval_every=10", "hydra.run.dir=judged"),
    )
    judged = account(poke.cwd / "judged")
    assert judged["best"]["metric"] == "val/loss"
    assert sum("val/loss" in row for row in rows(poke.cwd / "judged")) == 2


def test_a_run_of_ranks_is_not_replayed_by_one(poke):
    train(poke, "bc", "several", 20, 2, "checkpoint.save_every=10")
    said = poke("poke.verify", "several", expect=None)
    assert "is of 2 ranks, and one process cannot replay what they did" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ((*LEARNERS["bc"], "data.batch_size=50"), "data.batch_size=50 cannot be shared equally"),
        (
            (*LEARNERS["ppo"], "env.num_envs=4", "algo.minibatch_size=32"),
            "env.num_envs=4 cannot be",
        ),
        ((*LEARNERS["bc"], "trainer.devices=0"), "trainer.devices"),
        ((*LEARNERS["bc"], "trainer.rank_timeout=0"), "trainer.rank_timeout"),
    ],
)
def test_what_ranks_cannot_share_is_refused_in_one_line(poke, overrides, told):
    said = poke(
        *("poke.train", "trainer.devices=3", *overrides, "checkpoint.monitor=train/loss"),
        expect=2,
    )
    (line,) = (line for line in said.splitlines() if line.startswith("poke:"))
    assert told in line
    assert not poke.runs()


OWN = """
from poke.algorithms.bc import BehaviourCloning

class Alone(BehaviourCloning):
    def __init__(self, policy, lr):
        super().__init__(policy, lr=lr)
"""


def test_a_part_that_heeds_no_ranks_is_refused(poke):
    (poke.cwd / "own.py").write_text(OWN)
    poke.env["PYTHONPATH"] = found_in(poke.cwd)
    said = poke(
        *("poke.train", "data=file", *RECORDED, "algo._target_=own.Alone", "trainer.devices=2"),
        *("~algo.weight_decay", "~algo.label_smoothing", "~algo.loss", "~algo.max_grad_norm"),
        *("~algo.lr_schedule", "~algo.schedule_steps", "~algo.warmup_steps"),
        *("checkpoint.monitor=train/loss",),
        expect=2,
    )
    assert "own.Alone is for one process: it names no `ranks`" in said


DRAWING = """
import torch

from poke.algorithms.bc import BehaviourCloning

class Drawing(BehaviourCloning):
    def update(self, batch):
        return {**super().update(batch), "drawn": torch.rand(())}
"""


@pytest.mark.slow
def test_every_rank_goes_on_drawing_where_it_was(poke):
    (poke.cwd / "own.py").write_text(DRAWING)
    poke.env["PYTHONPATH"] = found_in(poke.cwd)
    own = ("algo._target_=own.Drawing",)
    whole = train(poke, "bc", "whole", 20, 2, *own)
    parts = train(poke, "bc", "parts", 10, 2, *own)
    poke("poke.train", "resume=parts", "trainer.max_steps=20")
    drawn = [row["train/drawn"] for row in rows(whole)]
    assert len(set(drawn)) == 20
    assert [row["train/drawn"] for row in rows(parts)] == drawn
    alone = train(poke, "bc", "alone", 20, 1, *own)
    assert rows(alone)[0]["train/drawn"] != drawn[0], "another rank draws something else"


@pytest.mark.parametrize("launcher", few(["basic", "joblib"], "basic"))
def test_jobs_of_a_sweep_have_ranks_each(poke, launcher):
    more = () if launcher == "basic" else ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    if more:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs poke[sweep]")
    poke(
        *("poke.train", "-m", *LEARNERS["bc"], "checkpoint.monitor=train/loss", *more),
        *("trainer.max_steps=4", "trainer.eval_every=0", "trainer.devices=2", "seed=0,1"),
        "sweep=pair",
    )
    jobs = sorted(path.parent for path in poke.cwd.glob("multirun/pair/*/run.json"))
    assert [account(job)["status"] for job in jobs] == ["finished"] * 2
    assert [account(job)["ranks"] for job in jobs] == [2, 2]


@pytest.mark.slow
def test_torchrun_starts_ranks_of_one_run(poke, anew):
    reference = train(poke, "bc", "reference", 20, 2)
    anew(
        *("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "poke.train"),
        *(*LEARNERS["bc"], *EVERY_ROW, "checkpoint.monitor=train/loss", "trainer.max_steps=20"),
        *("trainer.eval_every=0", "hydra.run.dir=started"),
    )
    assert account(poke.cwd / "started")["ranks"] == 2
    assert rows(poke.cwd / "started") == rows(reference)
    said = anew(
        *("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "poke.train"),
        *(*LEARNERS["bc"], "checkpoint.monitor=train/loss", "trainer.devices=3"),
        expect=None,
    )
    assert "trainer.devices=3, but 2 processes were started: leave it out" in said
