import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import yaml

from poke.data import trajectories

from .conftest import account

BATTLES = Path(__file__).with_name("battles.parquet")
TINY = ("algo=bc", "data=file", "network=mlp", "network.hidden_sizes=[8]", "device=cpu")


@pytest.mark.showdown
def test_three_battles_are_recorded_on_a_real_server(poke, installed):
    said = poke(
        "poke.record", "env=showdown", "battles=3", "concurrency=3", "out=some/three.parquet"
    )
    assert "some/three.parquet holds 3 battles" in said
    data = trajectories.read(poke.cwd / "some" / "three.parquet")
    assert data.num_episodes == 3
    assert data.terminated.sum() == 4, "both sides of the first battle, one of the others"
    assert len(data) > 3 * 5
    assert data.action_mask[np.arange(len(data)), data.action].all()
    assert data.metadata["format"] == "gen1randombattle"
    assert data.metadata["versions"]["pokemon-showdown"] == "0.11.11"
    assert [p.name for p in (poke.cwd / "some").iterdir()] == ["three.parquet"]


@pytest.mark.showdown
@pytest.mark.slow
def test_a_recording_stopped_by_sigterm_goes_on(poke, installed):
    command = ("poke.record", "opponents=[random]", "out=t.parquet")
    process = poke.start(*command, "battles=5000")
    # Battles are kept in order, and the first need not end first.
    while int("0" + process.stderr.readline().partition("/")[0]) < 300:
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, out + err
    assert "the same command goes on from there" in out
    assert not (poke.cwd / "t.parquet").exists()
    parts = (poke.cwd / "t.parquet.parts").glob("part-*")
    kept = sum(trajectories.read(part).num_episodes for part in parts)
    assert kept > 0

    said = poke(*command, f"battles={kept + 2}")
    assert f"{kept}/{kept + 2} battles" in said
    assert trajectories.read(poke.cwd / "t.parquet").num_episodes == kept + 2
    assert not (poke.cwd / "t.parquet.parts").exists()


MIXTURE = "experts=[{player: simple_heuristics, share: .25}, {player: random, share: .75}]"


@pytest.mark.showdown
def test_a_mixture_says_who_decided_and_shows_it(poke, installed):
    poke("poke.record", MIXTURE, "opponents=[max_base_power]", "battles=8", "out=mixed.parquet")
    rows = pandas.read_parquet(poke.cwd / "mixed.parquet", columns=["episode", "agent"])
    battles = rows.groupby("agent").episode.nunique()
    assert battles.sum() == 8, "one of them decides a battle"
    assert 4 <= battles["random"] <= 7
    card = poke("poke.record", "show", "mixed.parquet")
    assert "played     8 battles of gen1randombattle\n" in card
    assert "recorded   simple_heuristics (25 %), random (75 %)\n" in card
    assert re.search(rf"decisions  {len(rows):,}\n", card)
    assert re.search(
        rf"random +max_base_power +{battles['random']} +\d+ +[\d.]+% +[\d.]+% +[\d.]+% +\d+\n", card
    )


@pytest.mark.showdown
@pytest.mark.slow
def test_a_policy_is_recorded_in_battles_and_both_sides_are_learned_from(poke, installed):
    train = ("poke.train", *TINY, "trainer.max_steps=20")
    poke(*train, f"data.path={BATTLES}", "hydra.run.dir=run")
    record = ("poke.record", "policy=run", "opponents=[random]", "both_sides=true", "battles=2")
    poke(*record, "out=one.parquet")
    poke(*record, "out=two.parquet", "concurrency=1", "env.num_workers=1")
    assert (poke.cwd / "one.parquet").read_bytes() == (poke.cwd / "two.parquet").read_bytes()
    data = trajectories.read(poke.cwd / "one.parquet")
    assert data.metadata["agents"] == ["run", "random"]
    assert [*np.unique(data.agent)] == [0, 1]
    theirs = data.select(data.agent == 0)
    told = poke_load(poke.cwd / "run").act(theirs.observation, action_mask=theirs.action_mask)
    assert np.array_equal(told, theirs.action)
    poke("poke.record", "expert=random", "battles=2", "seed=1", "out=other.parquet")
    poke(*train, "data.path=[one.parquet,other.parquet]", "hydra.run.dir=both")
    recorded = account(poke.cwd / "both")["data"]
    assert recorded["source"] == ["one.parquet", "other.parquet"]
    assert recorded["rows"] == len(data) + len(trajectories.read(poke.cwd / "other.parquet"))


MISTAKES = {
    "battles=0 out=x.parquet": "battles must be >= 1, not 0",
    "battles=many out=x.parquet": "battles must be a whole number, not 'many'",
    "bttles=3 out=x.parquet": "unknown key bttles (did you mean battles?)",
    "out=x": "out must end in .parquet, or be minari:NAME, not 'x'",
    "out=minari:mine-v0": (
        "out=minari:NAME is for a policy in its environment, as in env=cartpole policy=RUN_DIR: "
        "battles and replays are recorded into a file"
    ),
    "battles=3": "out must be given, as in out=VALUE",
    "format=gen1ou out=x.parquet": "format must be gen1randombattle to gen9randombattle, not 'gen1ou'",
    "expert=me out=x.parquet": "expert: me is neither one of random, max_base_power, simple_heuristics nor a run",
    "opponents=[] out=x.parquet": "opponents must name at least one player, as in opponents=[random]",
    "opponents=[random,simple] out=x.parquet": (
        "opponents: simple is neither one of random, max_base_power, simple_heuristics nor a run"
    ),
    "experts=[random] out=x.parquet": (
        "experts is a list of players and shares, as in "
        "[{player: simple_heuristics, share: .2}, {player: random, share: .8}], not 'random'"
    ),
    "experts=[{player:random,share:0}] out=x.parquet": "experts: the share of random must be above 0, not 0",
    "experts=[{player:me,share:1}] out=x.parquet": (
        "experts: me is neither one of random, max_base_power, simple_heuristics nor a run"
    ),
    "experts=[{player:random,share:1},{player:random,share:2}] out=x.parquet": "experts names random twice",
    "experts=[{player:random,share:1}] policy=tests out=x.parquet": (
        "experts= and policy= both say who is recorded: give one of them"
    ),
    "policy=nowhere out=x.parquet": "policy=nowhere: there is no such run",
    "show": "show which file? as in: python -m poke.record show FILE",
    "explore=true out=x.parquet": (
        "explore=true is for a policy in its environment, as in env=cartpole policy=RUN_DIR: "
        "in battles the most probable actions are recorded"
    ),
    "env=cartpole out=x.parquet": "this environment needs a teacher, as in policy=RUN_DIR",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_answered_in_one_line(capsys, command):
    from poke.record import main

    assert main(command.split()) == 2
    assert capsys.readouterr().err == f"poke: {MISTAKES[command]}\n"


def test_help_and_mistakes_come_without_torch():
    check = (
        "import sys; from poke.record import main; print(main({})); print('torch' in sys.modules)"
    )
    for arguments, status in ((["--help"], 0), (["battles=0", "out=x.parquet"], 2)):
        code = check.format(arguments)
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        assert said.split()[-2:] == [str(status), "False"]


def test_help_names_every_knob(capsys):
    from poke.config import composing
    from poke.record import main

    for page in ([], ["policy"], ["replays"]):
        assert main(["--help", *page]) == 0
    said = capsys.readouterr().out
    for key in composing.to_plain(composing.compose("record", [])):
        assert f" {key}=" in said


def test_a_missing_server_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    pytest.importorskip("poke_env", reason="needs poke-env: pip install 'poke[showdown]'")
    from poke.record import main

    monkeypatch.setenv("POKE_SHOWDOWN_DIR", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    assert main(["out=x.parquet"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("poke: ")
    assert last.endswith("run `python -m poke.envs.showdown install`") or "node 20" in last


NORMALISED = (
    "algo=ppo",
    "env=cartpole",
    "env.normalize_observation=true",
    "network=mlp64",
    "trainer.max_steps=16384",
    "eval.episodes=4",
    "logger.tensorboard.enabled=false",
)


@pytest.fixture(scope="module")
def teacher(session_poke):
    """A run of CartPole that learned on normalised observations, and its parquet file of 60 episodes."""
    run_dir = session_poke.cwd / "teacher"
    session_poke("poke.train", *NORMALISED, f"hydra.run.dir={run_dir}")
    said = session_poke(
        "poke.record", "env=cartpole", f"policy={run_dir}", "episodes=60", "out=played.parquet"
    )
    assert "played.parquet holds 60 episodes with a mean return of" in said
    return run_dir


def mean_return(run_dir, name="eval/return_mean"):
    return account(run_dir)["final"][name]


@pytest.mark.slow
def test_the_clone_of_a_normalised_policy_plays_as_its_teacher(session_poke, teacher):
    data = trajectories.read(session_poke.cwd / "played.parquet")
    assert data.num_episodes == 60
    told = poke_load(teacher).act(data.observation)
    assert np.array_equal(told, data.action), "raw observations, and what the policy does at them"
    assert np.abs(data.observation[:, 2]).max() < 0.3, "an angle in radians, not in deviations"

    clone = session_poke.cwd / "clone"
    session_poke(
        "poke.train",
        *("algo=bc", "data=file", "data.path=played.parquet", "env=cartpole", "network=mlp64"),
        *("eval=episodes", "eval.episodes=20", "trainer.max_steps=3000", "trainer.eval_every=0"),
        *("checkpoint.monitor=eval/return_mean", "checkpoint.mode=max", "algo.lr=3e-3"),
        *("logger.tensorboard.enabled=false", f"hydra.run.dir={clone}"),
    )
    taught = float(data.reward.sum()) / data.num_episodes
    assert taught > 100, "a teacher worth cloning"
    assert mean_return(clone) > 0.8 * taught


def test_other_seeds_are_other_episodes_and_the_same_are_the_same(session_poke, teacher):
    def first(*more):
        command = (
            "poke.record",
            "env=cartpole",
            f"policy={teacher}",
            "episodes=3",
            "out=s.parquet",
        )
        session_poke(*command, *more)
        return trajectories.read(session_poke.cwd / "s.parquet").observation[0]

    assert np.array_equal(first(), first("seed=0"))
    assert not np.array_equal(first("seed=1"), first("seed=2"))


def test_a_policy_that_explores_draws_what_it_does_by_the_seed(session_poke, teacher):
    """As a learner meets the environment: other actions than the most probable, the same again from the same seed."""

    def drawn(*more):
        command = ("poke.record", "env=cartpole", f"policy={teacher}", "explore=true")
        session_poke(*command, "episodes=3", "out=drawn.parquet", *more)
        return trajectories.read(session_poke.cwd / "drawn.parquet")

    data = drawn("seed=5")
    assert data.metadata["explore"]
    told = poke_load(teacher).act(data.observation)
    assert 0.01 < (told != data.action).mean() < 0.5
    assert np.array_equal(drawn("seed=5").action, data.action)
    assert len(drawn("seed=6")) != len(data) or not np.array_equal(
        drawn("seed=6").action, data.action
    )


def test_a_single_checkpoint_is_recorded_too(session_poke, teacher):
    def returns(policy, out):
        session_poke("poke.record", "env=cartpole", f"policy={policy}", "episodes=5", f"out={out}")
        return trajectories.read(session_poke.cwd / out).reward.sum()

    checkpoints = teacher / "checkpoints"
    first = min(checkpoints.glob("checkpoint_*.pt"), key=lambda p: int(p.stem.split("step")[1]))
    assert returns(first, "first.parquet") < returns(teacher, "best.parquet")
    assert returns(checkpoints / "best.pt", "link.parquet") == returns(teacher, "best.parquet")


def test_what_a_policy_does_is_a_minari_dataset(session_poke, teacher, monkeypatch):
    """The same seed plays the same episodes, wherever they are kept."""
    pytest.importorskip("minari", reason="needs poke[minari]")
    pytest.importorskip("h5py", reason="needs poke[minari]")
    monkeypatch.setitem(session_poke.env, "MINARI_DATASETS_PATH", str(session_poke.cwd / "minari"))
    command = ("poke.record", "env=cartpole", f"policy={teacher}", "episodes=60")
    said = session_poke(*command, "out=minari:cartpole/own-v0")
    assert "minari:cartpole/own-v0 holds 60 episodes with a mean return of" in said
    again = session_poke(*command, "out=minari:cartpole/own-v0", expect=1)
    assert "there is a Minari dataset cartpole/own-v0 already" in again
    session_poke(
        *("poke.train", "algo=bc", "data=minari", "data.dataset_id=cartpole/own-v0"),
        *("network=mlp64", "trainer.max_steps=5", "hydra.run.dir=from_minari"),
    )
    file = trajectories.read(session_poke.cwd / "played.parquet")
    recorded = account(session_poke.cwd / "from_minari")["data"]
    assert (recorded["rows"], recorded["episodes"]) == (len(file), file.num_episodes)


def poke_load(path):
    import poke

    return poke.load(path)


ENDLESS = """
import pathlib
import gymnasium as gym

class Endless(gym.Env):
    observation_space = gym.spaces.Box(0, 1, (2,))
    action_space = gym.spaces.Discrete(2)
    count = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.low, {}

    def step(self, action):
        Endless.count += 1
        if Endless.count == 2000:  # more than it takes to find out whether this one can be copied
            pathlib.Path("stepped").touch()
        return self.observation_space.high, 1.0, False, False, {}

gym.register("Endless-v0", Endless)
"""


def test_a_recording_of_a_policy_that_is_stopped_leaves_nothing(poke):
    (poke.cwd / "endless.py").write_text(ENDLESS)
    env = ("env=gym", "env.id='endless:Endless-v0'")
    short = ("env.max_episode_steps=50", "trainer.max_steps=2048", "eval.episodes=1")
    poke("poke.train", "algo=ppo", *env, *short, "hydra.run.dir=run")
    (poke.cwd / "stepped").unlink()
    many = ("episodes=1000000", "out=some/stopped.parquet")
    process = poke.start("poke.record", *env, "policy=run", *many)
    while not (poke.cwd / "stepped").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert (out, err) == ("", "poke: received SIGINT: nothing is written\n")
    assert not (poke.cwd / "some").exists()


HOSTILE = {"_target_": "os.system", "command": "touch marker"}


def hostile_copy(teacher, folder, change):
    """A copy of a run whose saved config names what is to be called."""
    copy = folder / "hostile"
    shutil.copytree(teacher, copy)
    for name in ("config.yaml", "config.json", ".hydra/config.yaml"):
        text = (copy / name).read_text()
        config = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
        change(config)
        dumped = json.dumps(config) if name.endswith("json") else yaml.safe_dump(config)
        (copy / name).write_text(dumped)
    return copy


CHANGES = {
    "env": lambda config: config["env"].update(HOSTILE),
    "within env": lambda config: config["env"].update(kwargs={"a": [HOSTILE]}),
    "a wrapper": lambda config: config["env"].update(wrappers=[HOSTILE]),
    "deep in a wrapper": lambda config: config["env"].update(
        wrappers=[{"_target_": "gymnasium.wrappers.common.os.system", "command": "touch marker"}]
    ),
    "all the rest": lambda config: config.update(
        {name: dict(HOSTILE) for name in ("network", "algo", "data", "eval", "trainer")}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_hostile_run_is_not_executed(poke, teacher, change):
    copy = hostile_copy(teacher, poke.cwd, CHANGES[change])
    rest = change == "all the rest"
    out = poke(
        *("poke.record", "env=cartpole", f"policy={copy}", "episodes=2", "out=x.parquet"),
        expect=0 if rest else 2,
    )
    assert rest or "os.system" in out or "plays CartPole-v1, env is" in out
    # A warm start takes weights, and a policy is described by its checkpoint.
    warm = (*NORMALISED, f"init_from={copy}", "trainer.max_steps=128", "hydra.run.dir=warm")
    assert "starting from" in poke("poke.train", *warm)
    poke("poke.export", str(copy), "--out", "x.safetensors")
    assert np.array_equal(poke_load(copy).act([0.1] * 4), poke_load(teacher).act([0.1] * 4))
    assert not (poke.cwd / "marker").exists()


OWN = """
import gymnasium, numpy, torch
from poke.envs.gym import GymEnvironment

class Environment(GymEnvironment):
    pass

class Network(torch.nn.Module):
    def __init__(self, *, num_outputs):
        super().__init__()
        self.layer = torch.nn.Linear(4, num_outputs)

    def forward(self, observation):
        return self.layer(observation)
"""


def test_trust_lets_a_run_of_ones_own_be_recorded(poke):
    (poke.cwd / "mine.py").write_text(OWN)
    (poke.cwd / "conf" / "network").mkdir(parents=True)
    (poke.cwd / "conf" / "network" / "own.yaml").write_text("_target_: mine.Network\n")
    poke(
        *("poke.train", "--config-dir", "conf", *NORMALISED, "network=own"),
        *("trainer.max_steps=2048", "env._target_=mine.Environment", "hydra.run.dir=run"),
    )
    record = ("poke.record", "env=cartpole", "policy=run", "episodes=2", "out=x.parquet")
    assert "it names mine.Environment" in poke(*record, expect=2)
    assert "holds 2 episodes" in poke(*record, "trust=[mine]")
    export = ("poke.export", "run", "--out", "x.safetensors")
    assert "it names mine.Network" in poke(*export, expect=2)
    assert "step 2048" in poke(*export, "--trust", "mine")
    assert "step 2048" in poke(*export, "trust=[other,mine]")
