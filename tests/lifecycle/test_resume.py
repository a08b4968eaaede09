"""A run goes on from its own config: values given take effect or are refused, and a failed resume changes nothing."""

import json
import shutil
import signal

import pytest
import torch

from poke.compare import main as compare

from .comparing import assert_same_run, last_state, rows
from .conftest import PPO, SMALL, account, checkpoints, snapshot, wait_for


@pytest.fixture
def half(poke, copied):
    """Half of a run."""
    return copied(poke.cwd, *SMALL, "trainer.max_steps=60", "trainer.eval_every=20")


def optimizer(run_dir) -> dict:
    return last_state(run_dir)["algorithm"]["optimizer"]["param_groups"][0]


def test_a_schedule_follows_the_length_it_was_tied_to(poke):
    cosine = [o for o in SMALL if not o.startswith("algo.lr_schedule")]
    poke(*cosine, "trainer.max_steps=60", "algo.warmup_steps=0", "hydra.run.dir=run")
    said = poke("resume=run", "trainer.max_steps=120")
    assert "the learning rate is 0" not in said
    rates = [float(row["train/lr"]) for row in rows(poke.cwd / "run") if "train/lr" in row]
    assert min(rates[:-1]) > 0
    config = json.loads((poke.cwd / "run" / "config.json").read_text())
    assert config["algo"]["schedule_steps"] == 120
    said = poke("resume=run", "trainer.max_steps=150", "algo.schedule_steps=120")
    line = "the learning rate is 0 from step 120 on, the run goes to 150: algo.schedule_steps=150"
    assert line in said


def test_so_it_does_where_hydra_was_told_to_keep_nothing(poke):
    poke(*SMALL, "trainer.max_steps=20", "hydra.output_subdir=null", "hydra.run.dir=run")
    poke("resume=run", "trainer.max_steps=30")
    config = json.loads((poke.cwd / "run" / "config.json").read_text())
    assert config["algo"]["schedule_steps"] == 30


def test_values_given_take_effect_and_are_noted(poke, half, capsys):
    poke(
        "resume=run",
        "trainer.max_steps=90",
        "algo.lr=5e-4",
        "algo.warmup_steps=0",
        "algo.weight_decay=0.5",
    )
    assert optimizer(half)["weight_decay"] == 0.5
    assert float(rows(half)[-1]["train/lr"]) == 5e-4
    (_, session) = account(half)["sessions"]
    assert session["changed"]["algo.weight_decay"] == [0.01, 0.5]
    assert (session["from_step"], session["to_step"]) == (60, 90)
    assert compare(["show", str(half)]) == 0
    assert "algo.weight_decay 0.01 -> 0.5" in capsys.readouterr().out
    poke("resume=run", "trainer.max_steps=100")
    assert optimizer(half)["weight_decay"] == 0.5  # it is the run's own value by now


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("algo.gamma=0.9", ""),
        ("network.activation=relu", ""),
        ("eval.episodes=3", ""),
        ("data.num_steps=64", ""),
        ("env.num_envs=4", "env.num_envs"),
    ],
)
def test_any_value_of_a_ppo_run_can_be_given(poke, copied, change, said):
    copied(poke.cwd, *PPO, "trainer.max_steps=320")
    assert said in poke("resume=run", "trainer.max_steps=640", change)
    about = account(poke.cwd / "run")
    assert about["status"] == "finished"
    assert about["step"] >= 640
    assert change.partition("=")[0] in about["sessions"][1]["changed"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["algo.lrr=1"], "unknown key algo.lrr (did you mean algo.lr?)"),
        (["algo.gamma=0.9"], "unknown key algo.gamma"),
        (["algo.lr=abc"], "algo.lr must be a number, not 'abc'"),
        (["trainer.max_steps=-1"], "trainer.max_steps must be >= 0"),
        (["algo=ppo"], "algo=ppo is of another kind than the run's"),
        (["network=battle"], "network=battle is of another kind"),
        (["seed=3"], "seed=3 cannot be given to a run that has begun"),
        (["network.hidden_sizes=[9]"], "with network.hidden_sizes=[9]"),
        (["data.path=nowhere.parquet"], "nowhere.parquet: no such file"),
        (["data.val_fraction=0.5"], "holds out other episodes"),
        (["hydra.run.dir=other"], "hydra.run.dir=other cannot be given with resume"),
        (["fork=run"], "give one of them"),
        (["device=cuda:99"], "device=cuda:99"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_changes_nothing(poke, half, arguments, words):
    assert words in poke.refuse(half, "resume=run", *arguments)


def test_a_file_that_is_no_checkpoint_or_damaged_changes_nothing(poke, half):
    newest = max(checkpoints(half).items())[1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.unlink()
    newest.write_bytes(content)
    assert "checksum" in poke.refuse(half, f"resume={newest}")
    assert "is no checkpoint inside" in poke.refuse(half, "resume=run/config.yaml")
    assert "does not exist" in poke.refuse(half, "resume=gone")
    for path in (half / "checkpoints").glob("*.pt"):
        path.unlink()
        path.write_bytes(content)
    assert "no usable checkpoint" in poke(f"resume={half}", expect=2)


def test_a_resume_that_fails_late_leaves_newer_checkpoints_where_they_were(poke, half):
    """Everything is restored before anything is put away: here, from an older file, with a value that does not fit."""
    older = checkpoints(half)[20]
    poke.refuse(half, f"resume={older}", "network.hidden_sizes=[9]")
    poke(f"resume={older}", "trainer.max_steps=60")
    assert (half / "checkpoints" / "superseded").is_dir()
    assert account(half)["status"] == "finished"


def test_the_config_of_a_newer_poke_is_refused_and_that_of_an_older_one_completed(poke, half):
    about = account(half)
    (half / "run.json").write_text(json.dumps({**about, "config_format": 99}))
    assert "was made by a newer poke" in poke.refuse(half, "resume=run")
    (half / "run.json").write_text(json.dumps(about))
    for name in ("config.yaml", ".hydra/config.yaml"):
        text = (half / name).read_text().replace("  async_save: true\n", "")
        (half / name).write_text(text)
    assert "checkpoint.async_save came since: True" in poke("resume=run", "trainer.max_steps=70")


def test_a_damaged_newest_checkpoint_is_set_aside_by_a_resume_that_works(poke, half):
    newest = max(checkpoints(half).items())[1]
    newest.unlink()
    newest.write_bytes(b"torn")
    before = snapshot(half)
    assert "nothing changed" in poke("resume=run", "network.hidden_sizes=[9]", expect=2)
    assert snapshot(half) == before
    said = poke("resume=run")
    assert "trying the one before it" in said
    assert list((half / "checkpoints").glob("*.corrupt"))
    assert account(half)["status"] == "finished"


def test_final_and_best_survive_a_resume_that_does_nothing(poke, half):
    before = account(half)
    assert before["final"]["val/loss"] > 0
    poke("resume=run")
    after = account(half)
    assert (after["final"], after["best"]) == (before["final"], before["best"])
    assert len(after["sessions"]) == 2


def test_a_checkpoint_copied_back_and_foreign_files_are_never_deleted(poke, half):
    poke(f"resume={checkpoints(half)[20]}", "trainer.max_steps=20")
    (away,) = (half / "checkpoints" / "superseded").glob("*/checkpoint_*_step60.pt")
    back = half / "checkpoints" / away.name
    shutil.copyfile(away, back)
    foreign = half / "checkpoints" / "mine.pt"
    torch.save({"a": 1}, foreign)
    kept = {path: path.read_bytes() for path in (back, foreign)}
    poke(
        "resume=run", "trainer.max_steps=50", "checkpoint.max_to_keep=1", "checkpoint.keep_every=10"
    )
    assert {path: path.read_bytes() for path in kept} == kept
    assert account(half)["step"] == 50
    assert "resuming from" in poke(f"resume={back}", "trainer.max_steps=70")
    assert account(half)["sessions"][-1]["from_step"] == 60


def test_a_copied_and_a_moved_run_go_on_and_their_names_follow(poke, half):
    shutil.copytree(half, poke.cwd / "copy")
    half.rename(poke.cwd / "moved")
    for name in ("copy", "moved"):
        poke(f"resume={name}", "trainer.max_steps=90")
        assert account(poke.cwd / name)["name"].endswith(f"/{name}")
    assert_same_run(poke.cwd / "copy", poke.cwd / "moved")


def test_init_from_takes_what_the_index_calls_best_whatever_the_files_age(poke, half):
    best = account(half)["best"]["step"]
    for path in checkpoints(half).values():
        path.touch()
    checkpoints(half)[min(checkpoints(half))].touch()
    said = poke(*SMALL, "trainer.max_steps=1", "init_from=run", "hydra.run.dir=warm")
    assert "weights of run/checkpoints/" in said
    taken = torch.load(min(checkpoints(poke.cwd / "warm").items())[1], weights_only=True)[
        "components"
    ]["policy"]["network"]
    theirs = torch.load(checkpoints(half)[best], weights_only=True)
    for name, weight in theirs["components"]["policy"]["network"].items():
        assert torch.equal(weight, taken[name])


def test_relative_paths_keep_working_from_another_folder(poke):
    (poke.cwd / "data").mkdir()
    battles = next(o for o in SMALL if o.startswith("data.path=")).partition("=")[2]
    shutil.copyfile(battles, poke.cwd / "data" / "b.parquet")
    shutil.copyfile(battles, poke.cwd / "data" / "c.parquet")
    paths = ["data/b.parquet", "data/c.parquet"]
    path = f"data.path=[{','.join(paths)}]"
    poke(*SMALL, path, "hydra.run.dir=run", "trainer.max_steps=60")
    (poke.cwd / "elsewhere").mkdir()
    poke(f"resume={poke.cwd / 'run'}", "trainer.max_steps=90", cwd=poke.cwd / "elsewhere")
    config = json.loads((poke.cwd / "run" / "config.json").read_text())
    assert config["data"]["path"] == paths
    poke(f"fork={poke.cwd / 'run'}", "hydra.run.dir=new", cwd=poke.cwd / "elsewhere")


def reached_more(run_dir, known) -> bool:
    """Whether a run has saved more, or is at its end."""
    if not (run_dir / "run.json").exists():
        return False
    return bool(set(checkpoints(run_dir)) - known) or account(run_dir)["status"] == "finished"


@pytest.mark.parametrize("kind", [SMALL, PPO], ids=["bc", "ppo"])
def test_interrupted_again_and_again_it_is_as_if_it_had_never_stopped(poke, kind):
    poke(*kind, "hydra.run.dir=whole")
    process = poke.start(*kind, "hydra.run.dir=run")
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
        known = set(checkpoints(poke.cwd / "run"))
        wait_for(lambda known=known: reached_more(poke.cwd / "run", known), process)
        process.signal(number)
        process.wait()
        process = poke.start("resume=run")
    assert process.wait()[0] == 0
    assert_same_run(poke.cwd / "run", poke.cwd / "whole")


def test_a_process_that_comes_second_leaves_the_first_alone(poke, half):
    before = snapshot(half)
    process = poke.start("resume=run", "trainer.max_steps=100000")
    wait_for(lambda: snapshot(half).keys() != before.keys(), process)
    assert "in use" in poke("resume=run", expect=2)
    process.signal(signal.SIGTERM)
    assert process.wait()[0] == 143


def test_a_run_that_stopped_early_goes_on_with_more_patience(poke):
    early = ("trainer.eval_every=10", "trainer.early_stopping.min_delta=100", "hydra.run.dir=run")
    said = poke(*SMALL, *early, "trainer.early_stopping.patience=2")
    assert "finished at step 30 (no better val/loss in 2 evaluations), best" in said
    about = account(poke.cwd / "run")
    assert about["exit_reason"] == "no better val/loss in 2 evaluations"
    assert "finished at step 30 (no better" in poke("resume=run")
    said = poke("resume=run", "trainer.early_stopping.patience=4")
    assert "finished at step 50 (no better val/loss in 4 evaluations)" in said


def test_a_run_of_before_there_was_early_stopping_takes_it_on(poke):
    poke(*SMALL, "hydra.run.dir=run")
    for name in ("config.yaml", ".hydra/config.yaml"):
        path = poke.cwd / "run" / name
        kept = path.read_text().split("\n")
        start = kept.index("  early_stopping:")
        path.write_text("\n".join(kept[:start] + kept[start + 3 :]))
    longer = ("resume=run", "trainer.max_steps=400", "trainer.early_stopping.min_delta=100")
    said = poke(*longer, "trainer.early_stopping.patience=5")
    assert "no better val/loss in 5 evaluations" in said
