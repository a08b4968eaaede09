"""A new run from the whole state of another."""

import shutil

import pytest

from poke.compare import main as compare

from .comparing import assert_same_rest, last_state, rows
from .conftest import PPO, SMALL, account, checkpoints, snapshot


@pytest.mark.parametrize("kind", [SMALL, PPO], ids=["bc", "ppo"])
def test_unchanged_it_is_the_rest_of_the_run_bit_for_bit(poke, kind):
    poke(*kind, "hydra.run.dir=run")
    before = snapshot(poke.cwd / "run")
    middle = sorted(checkpoints(poke.cwd / "run"))[1]
    poke(f"fork={checkpoints(poke.cwd / 'run')[middle]}", "hydra.run.dir=new")
    assert snapshot(poke.cwd / "run") == before
    assert_same_rest(poke.cwd / "new", poke.cwd / "run", middle)
    parent = account(poke.cwd / "new")["parent"]
    assert (parent["run"], parent["step"], parent["how"]) == (str(poke.cwd / "run"), middle, "fork")
    assert middle in checkpoints(poke.cwd / "new")


def test_values_may_be_changed_and_comparing_shows_where_it_came_from(poke, capsys):
    poke(*SMALL, "hydra.run.dir=run", "trainer.max_steps=60")
    poke("fork=run", "hydra.run.dir=new", "algo.weight_decay=0.3", "trainer.max_steps=90")
    group = last_state(poke.cwd / "new")["algorithm"]["optimizer"]["param_groups"][0]
    assert group["weight_decay"] == 0.3
    assert min(int(row["step"]) for row in rows(poke.cwd / "new")) >= 60
    (session,) = account(poke.cwd / "new")["sessions"]
    assert session["changed"]["algo.weight_decay"] == [0.01, 0.3]
    assert (session["from_step"], session["to_step"]) == (60, 90)
    assert compare(["show", str(poke.cwd / "new")]) == 0
    assert "at step 60" in capsys.readouterr().out
    assert compare(["diff", str(poke.cwd / "run"), str(poke.cwd / "new")]) == 0
    assert "algo.weight_decay" in capsys.readouterr().out
    poke("resume=new", "trainer.max_steps=100")  # it is a run like any other
    assert account(poke.cwd / "new")["sessions"][1]["from_step"] == 90


def test_with_nothing_left_to_do_it_ends_where_its_parent_did(poke):
    poke(*SMALL, "hydra.run.dir=run", "trainer.max_steps=40")
    poke("fork=run", "hydra.run.dir=new")
    parent, child = account(poke.cwd / "run"), account(poke.cwd / "new")
    assert (child["status"], child["step"]) == ("finished", 40)
    assert (child["final"], child["best"]) == (parent["final"], parent["best"])


def test_one_that_was_stopped_before_its_first_checkpoint_does_not_begin_with_nothing(poke):
    poke(*SMALL, "hydra.run.dir=run", "trainer.max_steps=40")
    poke("fork=run", "hydra.run.dir=new", "trainer.max_steps=50")
    shutil.rmtree(poke.cwd / "new" / "checkpoints")
    line = poke.refuse(poke.cwd / "new", "resume=new")
    assert f"before it had a checkpoint of its own: fork={poke.cwd / 'run'} again" in line


def test_without_a_name_it_has_a_directory_of_its_own(poke):
    poke(*SMALL, "hydra.run.dir=run", "trainer.max_steps=30")
    poke("fork=run", "trainer.max_steps=40")
    assert len(list(poke.cwd.glob("outputs/*/*/run.json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fork=gone"], "fork=gone: gone does not exist"),
        (["fork=run", "hydra.run.dir=run"], "run holds a run already"),
        (["fork=run", "algo.lrr=1", "hydra.run.dir=new"], "unknown key algo.lrr"),
        (["fork=run", "seed=2", "hydra.run.dir=new"], "seed=2 cannot be given"),
        (["fork=run", "-m", "algo.lr=1,2"], "fork is of one run; leave out -m"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(poke, copied, arguments, words):
    copied(poke.cwd, *SMALL, "trainer.max_steps=30")
    assert words in poke.refuse(poke.cwd, *arguments)
