"""A machine that is lost takes no run with it: what is mirrored goes on elsewhere, bit for bit."""

import shutil
import signal

import pytest

from ..selecting import few
from .comparing import assert_same_run
from .conftest import PPO, SMALL, account, checkpoints, snapshot, wait_for

DQN = (
    *("algo=dqn", "env=cartpole", "logger.tensorboard.enabled=false", "device=cpu"),
    *("network.hidden_sizes=[8]", "data.capacity=600", "data.train_freq=50", "data.updates=5"),
    *("trainer.max_steps=1200", "trainer.eval_every=600", "checkpoint.save_every=200"),
    *("eval.episodes=1", "logger.backend_frequency=200"),
)
RUNS = {"bc": SMALL, "ppo": PPO, "dqn": DQN}


def mirrored(poke):
    """How many manifests were written."""
    found = list((poke.cwd / "store").rglob("manifests/*.json"))
    return max((int(path.stem) for path in found), default=0)


@pytest.mark.parametrize("name", few(RUNS, "bc", "dqn"))
@pytest.mark.parametrize("how", few(["url", "auto"], "auto"))
def test_a_lost_machine_loses_no_run(poke, name, how):
    options = RUNS[name]
    url = f"file://{poke.cwd / 'store'}"
    begin = (*options, f"checkpoint.mirror={url}", "hydra.run.dir=runs/a")
    process = poke.start(*begin)
    wait_for(lambda: mirrored(poke) >= 2, process)
    process.signal(signal.SIGKILL)
    process.wait()
    shutil.rmtree(poke.cwd / "runs")
    if how == "url":
        said = poke(f"resume={url}/runs/a")
    else:
        said = poke(*begin, "resume=auto")
    assert f"restored runs/a from {url}/runs/a" in said
    assert f"mirrored in {url}/runs/a" in said
    poke(*options, "hydra.run.dir=whole")
    assert_same_run(poke.cwd / "runs" / "a", poke.cwd / "whole")
    # What was mirrored at the end is all there is, and may lie anywhere.
    poke(f"resume={url}/runs/a", "hydra.run.dir=elsewhere")
    assert account(poke.cwd / "elsewhere")["status"] == "finished"
    assert checkpoints(poke.cwd / "elsewhere").keys() == checkpoints(poke.cwd / "whole").keys()


def test_a_signal_is_mirrored_before_the_process_goes(poke):
    url = f"file://{poke.cwd / 'store'}"
    process = poke.start(
        *SMALL, "trainer.max_steps=100000", f"checkpoint.mirror={url}", "hydra.run.dir=a"
    )
    wait_for(lambda: mirrored(poke) >= 2, process)
    process.signal(signal.SIGTERM)
    status, said = process.wait()
    assert status == 128 + signal.SIGTERM, said
    shutil.move(poke.cwd / "a", poke.cwd / "moved")
    poke(f"resume={url}/a", f"trainer.max_steps={account(poke.cwd / 'moved')['step'] + 10}")
    assert account(poke.cwd / "a")["sessions"][0] == account(poke.cwd / "moved")["sessions"][0]
    assert account(poke.cwd / "a")["status"] == "finished"


def test_a_mirror_that_cannot_be_is_one_line_and_no_run(poke):
    for url, line in (
        ("nowhere://a", "Protocol not known"),
        (f"file://{poke.cwd / 'file'}/a", "file"),
    ):
        (poke.cwd / "file").touch()
        before = snapshot(poke.cwd)
        said = poke(*SMALL, f"checkpoint.mirror={url}", expect=2)
        assert said.startswith("poke: ")
        assert line in said.splitlines()[0]
        assert snapshot(poke.cwd) == before
    said = poke("resume=file:///nowhere/a", expect=2)
    assert said == "poke: no run is mirrored in file:///nowhere/a\n"


def test_a_mirror_that_is_lost_stops_no_run(poke):
    store = poke.cwd / "store"
    process = poke.start(
        *SMALL, f"checkpoint.mirror=file://{store}", "hydra.run.dir=a", "trainer.max_steps=100000"
    )
    wait_for(lambda: mirrored(poke) >= 1, process)
    shutil.rmtree(store, ignore_errors=True)
    while store.is_dir():
        shutil.rmtree(store, ignore_errors=True)
    store.touch()  # no folder can be made there any more
    step = max(checkpoints(poke.cwd / "a"))
    wait_for(lambda: max(checkpoints(poke.cwd / "a"), default=0) > step, process)
    process.signal(signal.SIGTERM)
    status, said = process.wait()
    assert status == 128 + signal.SIGTERM, said
    assert "lacks the end of the run" in said
    store.unlink()
    poke("resume=a", f"trainer.max_steps={account(poke.cwd / 'a')['step'] + 10}")
    assert mirrored(poke) >= 1


def test_every_run_of_a_sweep_has_a_place_of_its_own(poke):
    url = f"file://{poke.cwd / 'store'}"
    poke("-m", *SMALL, f"checkpoint.mirror={url}", "seed=0,1", "sweep=s", "trainer.max_steps=30")
    runs = [path.parent for path in sorted((poke.cwd / "multirun" / "s").glob("*/run.json"))]
    assert len(runs) == 2
    for number, run in enumerate(runs):
        where = (
            f"'{url}/{run.relative_to(poke.cwd)}'"  # the names of a sweep's runs hold equals signs
        )
        poke(f"resume={where}", f"hydra.run.dir=again{number}")
        assert account(poke.cwd / f"again{number}")["seed"] == number
