import pytest

from poke.config import composing
from poke.config.knobs import ConfigError
from poke.config.validation import validate, validate_recording


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
        (["algo=ppo", "env.num_envs=0"], "env.num_envs must be >= 1, not 0"),
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
        validate(composing.to_plain(composing.compose("train", overrides)))
    assert "\n" not in str(caught.value)


BATTLES = ["algo=ppo", "env=showdown", "eval=battles"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["env.format=randombattle"], "format randombattle is unknown"),
        (["env.format=gen9doublesou"], "gen9doublesou is not played: it is doubles"),
        (["eval.format=gen9vgc2024"], "gen9vgc2024 is not played: it is vgc"),
        (["env.opponent={random: -1}"], "env.opponent is a name, or names with shares"),
        (["env.opponent={random: 0}"], "env.opponent is a name, or names with shares"),
        (["env.opponent=3"], "env.opponent is a name, or names with shares"),
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
        validate(composing.to_plain(composing.compose("train", [*BATTLES, *overrides])))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "opponent", ["self", "some/run", "{simple_heuristics: 80, self: 4, some/run: 0.5}"]
)
def test_opponents_are_names_or_names_with_shares(opponent):
    validate(composing.to_plain(composing.compose("train", [*BATTLES, f"env.opponent={opponent}"])))


@pytest.mark.parametrize("preset", ["halfcheetah", "hopper", "walker2d", "breakout", "pong"])
def test_presets_choose_what_they_play_over_the_algorithms_own_choice(preset):
    composed = composing.to_plain(composing.compose("train", [f"experiment=ppo_{preset}"]))
    validate(composed)
    assert preset[:4] in composed["env"]["id"].lower()
    assert composed["data"]["_target_"] == "poke.data.rollout.Collector"


def test_the_command_line_chooses_over_the_algorithms_own_choice():
    composed = composing.to_plain(
        composing.compose("train", ["algo=ppo", "env=acrobot", "network=mlp"])
    )
    assert composed["env"]["id"] == "Acrobot-v1"
    assert composed["network"]["hidden_sizes"] == [256, 256]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["env=cartpole"], "this environment needs a teacher, as in policy=RUN_DIR"),
        (["policy=run"], "policy= plays a Gymnasium environment, as in env=cartpole"),
    ],
)
def test_a_recording_needs_who_plays_it(overrides, line):
    with pytest.raises(ConfigError, match=line):
        validate_recording(
            composing.to_plain(composing.compose("record", [*overrides, "out=x.parquet"]))
        )
