"""Runs that play real battles go on as if they had never stopped, whoever is met in them."""

import json
import signal

import pytest

from poke.verify import main as verify

from ..selecting import few
from .comparing import assert_same_run
from .conftest import PPO, account, checkpoints, wait_for

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]
BATTLES = (
    *(option for option in PPO if not option.startswith(("eval.", "trainer.", "checkpoint."))),
    "env=showdown",
    "network=mlp",
    "network.hidden_sizes=[8]",
    "env.opponent={random: 1, self: 1, league: 1}",
    "env.league.players=[random]",
    "env.league.snapshot_every=128",
    "env.league.max_snapshots=2",
    "env.num_envs=4",
    "env.num_workers=1",
    "env.reward=shaped",
    "eval=battles",
    "eval.opponents=[random]",
    "eval.battles=2",
    "eval.explore=true",
    "trainer.max_steps=384",
    "trainer.eval_every=192",
    "checkpoint.save_every=64",
)


@pytest.mark.parametrize("overlap", few(["false", "true"], "true"))
def test_a_run_of_battles_is_resumed_bit_for_bit_and_can_be_replayed(poke, capsys, overlap):
    battles = (*BATTLES, f"data.overlap={overlap}")
    process = poke.start(*battles, "hydra.run.dir=run")
    wait_for(lambda: len(checkpoints(poke.cwd / "run")) > 3, process, seconds=300)
    process.signal(signal.SIGKILL)
    process.wait()
    poke("resume=run", "env.num_workers=2")  # changes speed only
    poke(*battles, "hydra.run.dir=whole")
    assert_same_run(poke.cwd / "run", poke.cwd / "whole")
    about = account(poke.cwd / "run")
    assert about["status"] == "finished"
    assert about["exact_resume"]
    final = about["final"]
    assert 0 <= final["eval/random/win_rate_low"] <= final["eval/random/win_rate"]
    assert final["train/league/members"] == 3
    assert verify([str(poke.cwd / "run")]) == 0
    assert "bit-equal" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_is_met_as_an_opponent_and_one_of_another_game_is_refused(poke):
    short = (*BATTLES, "trainer.max_steps=128", "trainer.eval_every=0")
    poke(*short, "hydra.run.dir=teacher")
    poke(*short, "env.opponent=teacher", "eval.opponents=[teacher, random]", "hydra.run.dir=run")
    assert "eval/teacher/turns" in account(poke.cwd / "run")["final"]
    poke(*PPO, "trainer.max_steps=128", "hydra.run.dir=carts")
    said = poke(*short, "env.opponent=carts", "hydra.run.dir=other", expect=2)
    assert said.startswith("poke: opponent carts plays no battles: it sees float32 [4]")
    assert not (poke.cwd / "other").exists()


@pytest.mark.slow
def test_other_opponents_begin_all_battles_anew_and_another_format_is_refused(poke):
    short = (*BATTLES, "trainer.max_steps=128", "trainer.eval_every=0", "env.opponent=random")
    poke(*short, "hydra.run.dir=run")
    said = poke("resume=run", "env.opponent=self", "trainer.max_steps=256")
    assert "all episodes begin anew" in said
    config = json.loads((poke.cwd / "run" / "config.json").read_text())
    assert config["env"]["opponent"] == "self"
    line = poke.refuse(poke.cwd / "run", "resume=run", "env.format=gen2randombattle")
    assert "env.format is gen2randombattle, was gen1randombattle" in line
