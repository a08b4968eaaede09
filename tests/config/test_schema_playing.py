import importlib.util

import pytest

from poke.config import composing
from poke.config.knobs import ConfigError
from poke.config.validation import validate, validate_recording

# What cannot be validated without an extra.
NEEDED = {
    "data=ray_rollout": "ray",
    "experiment=ppo_breakout": "ale_py",
    "experiment=ppo_pong": "ale_py",
}


def composed(*overrides):
    for module in filter(None, map(NEEDED.get, overrides)):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    config = composing.to_plain(composing.compose("train", list(overrides)))
    validate(config)
    return config


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["algo=ppo", "data=sample"], "algo=ppo learns from its own experience"),
        (["algo=ppo", "~env", "~eval"], "data=rollout plays an environment"),
        (["algo=bc", "eval=episodes"], "eval=episodes plays an environment"),
        (["algo=bc", "data=rollout", "env=cartpole"], "algo=bc learns from demonstrations"),
        (["algo=ppo", "algo.minibatch_size=100"], "algo.minibatch_size=100 must divide"),
        (
            ["algo=ppo", "env.num_envs=3", "data.num_steps=100"],
            "algo.minibatch_size=128 must divide .* = 300",
        ),
        (["algo=dqn", "~env", "~eval"], "data=replay plays an environment: add one"),
        (
            ["algo=dqn", "data.capacity=9", "data.batch_size=10"],
            "data.capacity=9 holds no batch of data.batch_size=10",
        ),
        (["algo=ppo", "data=replay"], "algo=ppo learns from its own experience"),
        (["algo=bc", "data=replay", "env=cartpole"], "algo=bc learns from demonstrations"),
        (["algo=iql", "data=replay", "env=cartpole"], "algo=iql learns from recorded transitions"),
        (["algo=dqn", "data.updates=0"], "data.updates must be >= 1, not 0"),
        (["algo=dqn", "algo.atoms=1"], "algo.atoms must be 0, or at least 2"),
        (
            ["algo=dqn", "algo.atoms=51", "algo.low=5", "algo.high=5"],
            "algo.low=5 must be below algo.high=5",
        ),
        (["algo=dqn", "data.fill=3"], "data.fill must be"),
        (
            ["algo=bc", "data.val_fraction=0"],
            "eval=heldout judges by what is held out: data.val_fraction must be > 0",
        ),
        (
            ["algo=iql", "data.path=a", "eval=values", "data.val_fraction=0"],
            "eval=values judges by what is held out",
        ),
        (["algo=ppo", "env.num_envs=0"], "env.num_envs must be >= 1, not 0"),
        (
            ["algo=ppo", "data=ray_rollout", "~env", "~eval"],
            "data=ray_rollout plays an environment",
        ),
        (
            ["algo=ppo", "data=ray_rollout", "env.num_envs=3"],
            "data.num_actors=2 must divide env.num_envs=3",
        ),
        (
            ["algo=ppo", "data=ray_rollout", "trainer.devices=2"],
            "has one learner and many that play: leave out trainer.devices=2",
        ),
        (
            ["algo=ppo", "data=ray_rollout", "data.address=here"],
            "data.address must be local, auto, HOST:PORT or ray://HOST:PORT, not 'here'",
        ),
        (
            ["algo=ppo", "data=ray_rollout", "algo.minibatch_size=100"],
            "algo.minibatch_size=100 must divide",
        ),
        (["algo=ppo", "env=gym"], "env.id must be given, as in env.id=VALUE"),
        (["algo=ppo", "algo.gamma=1.1"], "algo.gamma must be <= 1, not 1.1"),
        (
            ["algo=ppo", "env.vectorization=threads"],
            "env.vectorization must be one of auto, serial",
        ),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(overrides, line):
    with pytest.raises(ConfigError, match=line) as caught:
        composed(*overrides)
    assert "\n" not in str(caught.value)


BATTLES = ["algo=ppo", "env=showdown", "eval=battles"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["env.format=randombattle"], "format randombattle is unknown"),
        (["env.format=gen9doublesou"], "gen9doublesou is not played: it is doubles"),
        (["eval.format=gen9vgc2024"], "gen9vgc2024 is not played: it is vgc"),
        (["env.opponent={random: -1}"], "env.opponent.random must be >= 0, not -1"),
        (["env.opponent={random: often}"], "env.opponent.random must be a number, not 'often'"),
        (["env.opponent={}"], "env.opponent is a name, or names with shares"),
        (["env.opponent={random: 0}"], "env.opponent is a name, or names with shares"),
        (["env.opponent=3"], "env.opponent must be text, not 3"),
        (["env.opponent=[random]"], r"env.opponent must be text, not \['random'\]"),
        (["env.opponent=randm"], r"neither a player nor a run \(did you mean random\?\)"),
        (["env.opponent={sefl: 1}"], r"env.opponent: sefl .* \(did you mean self\?\)"),
        (["env.league.players=[maxbasepower]"], r"\(did you mean max_base_power\?\)"),
        (["eval.opponents=[simple_heuristic]"], r"\(did you mean simple_heuristics\?\)"),
        (["network=battle"], "add algo.shared_network=true, or take network=auto"),
        (["env.league.players=[self]"], "env.league.players names players, and self is none"),
        (["env.league.weighting=soft"], "env.league.weighting must be one of hard, variance"),
        (["env.reward=points"], "env.reward must be one of win, shaped"),
        (["eval.opponents=[]"], "eval.opponents must name at least one"),
        (["eval.opponents=[league]"], "league changes with training and measures nothing"),
        (["eval=episodes", "env.opponent=self"], "self changes with training"),
        (["algo.minibatch_size=100"], "algo.minibatch_size=100 must divide .* = 8192"),
    ],
)
def test_battles_that_cannot_be_are_refused_before_torch_is_imported(overrides, line):
    with pytest.raises(ConfigError, match=line) as caught:
        composed(*BATTLES, *overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "opponent", ["self", "some/run", "{simple_heuristics: 80, self: 4, some/run: 0.5}"]
)
def test_opponents_are_names_or_names_with_shares(opponent):
    composed(*BATTLES, f"env.opponent={opponent}")


@pytest.mark.parametrize("begun", [["experiment=ppo_gen1"], BATTLES])
def test_opponents_that_are_given_are_all_there_are(begun):
    given = composed(*begun, "env.opponent={simple_heuristics: 80, self: 4}")
    assert given["env"]["opponent"] == {"simple_heuristics": 80, "self": 4}
    assert composed(*begun, "env.opponent=random")["env"]["opponent"] == "random"


def test_one_more_opponent_can_be_given_by_name():
    begun = composed("experiment=ppo_gen1")["env"]["opponent"]
    more = composed("experiment=ppo_gen1", "env.opponent.league=3", "env.opponent.self=0")
    assert more["env"]["opponent"] == {**begun, "league": 3, "self": 0}


@pytest.mark.parametrize(
    ("override", "key", "name"),
    [
        ("env.kwargs={gravity: 9.8}", "env.kwargs", "gravity"),
        ("env.kwargs.gravity=9.8", "env.kwargs", "gravity"),
        ("logger.reduce={gravity: max}", "logger.reduce", "gravity"),
    ],
)
def test_mappings_of_the_users_own_names_take_new_ones_and_keep_the_others(override, key, name):
    group, _, knob = key.partition(".")
    before = composed("experiment=ppo_breakout")[group][knob]
    now = composed("experiment=ppo_breakout", override)[group][knob]
    assert now == {**before, name: now[name]}


@pytest.mark.parametrize(
    ("overrides", "monitor", "mode"),
    [
        ([], "val/loss", "min"),
        (["algo=ppo"], "eval/return_mean", "max"),
        (["experiment=ppo_hopper"], "eval/return_mean", "max"),
        (["env=cartpole", "eval=episodes"], "eval/return_mean", "max"),
        (["eval=battles"], "eval/simple_heuristics/win_rate", "max"),
        (["experiment=ppo_gen1"], "eval/simple_heuristics/win_rate", "max"),
        ([*BATTLES, "eval.opponents=[random]"], "eval/random/win_rate", "max"),
        ([*BATTLES, "eval.opponents=[outputs/a/run, random]"], "eval/run/win_rate", "max"),
        (["algo=ppo", "checkpoint.monitor=eval/x", "checkpoint.mode=min"], "eval/x", "min"),
    ],
)
def test_what_is_monitored_comes_with_what_evaluates(overrides, monitor, mode):
    checkpoint = composed(*overrides)["checkpoint"]
    assert (checkpoint["monitor"], checkpoint["mode"]) == (monitor, mode)


@pytest.mark.parametrize("preset", ["halfcheetah", "hopper", "walker2d", "breakout", "pong"])
def test_presets_choose_what_they_play_over_the_algorithms_own_choice(preset):
    config = composed(f"experiment=ppo_{preset}")
    assert preset[:4] in config["env"]["id"].lower()
    assert config["data"]["_target_"] == "poke.data.rollout.Collector"


def test_the_command_line_chooses_over_the_algorithms_own_choice():
    config = composed("algo=ppo", "env=acrobot", "network=mlp")
    assert config["env"]["id"] == "Acrobot-v1"
    assert config["network"]["hidden_sizes"] == [256, 256]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["env=cartpole"], "this environment needs a teacher, as in policy=RUN_DIR"),
        (["policy=run"], "policy=run: there is no such run"),
    ],
)
def test_a_recording_needs_who_plays_it(overrides, line):
    with pytest.raises(ConfigError, match=line):
        validate_recording(
            composing.to_plain(composing.compose("record", [*overrides, "out=x.parquet"]))
        )


@pytest.mark.parametrize(
    ("overrides", "battle_format"),
    [
        ([], "gen1randombattle"),
        (["format=gen4randombattle"], "gen4randombattle"),
        (["env.format=gen9randombattle"], "gen9randombattle"),
        (["env=cartpole", "policy=run"], "gen1randombattle"),
    ],
)
def test_the_format_of_a_recording_may_be_given_as_trainings_is(overrides, battle_format):
    config = composing.to_plain(composing.compose("record", [*overrides, "out=x.parquet"]))
    validate_recording(config)
    assert config["format"] == battle_format
