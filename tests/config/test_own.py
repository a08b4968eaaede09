"""Parts of a user's own: what leaks into them from poke's options, and how their values are checked."""

import importlib
import subprocess
import sys
import textwrap

import pytest
import yaml

from poke.config import composing
from poke.config.composing import Primary
from poke.config.knobs import ConfigError
from poke.config.validation import validate

MINE = """
    from __future__ import annotations
    from dataclasses import dataclass, field
    from pathlib import Path
    from typing import TYPE_CHECKING, Literal

    from poke.config.knobs import knob
    from poke.protocols import EvaluatorDefaults, SourceDefaults, Stateless, WriterDefaults

    if TYPE_CHECKING:
        from somewhere import Thing

    class Algorithm(Stateless):
        def __init__(
            self,
            policy,
            *,
            lr: float,
            steps: int = 1,
            sizes: list[int] = [8],
            kind: Literal["a", "b"] = "a",
            limit: float | None = None,
            name: int | str = 0,
            by_name: dict[str, float] | None = None,
            place: Path = Path("."),
            thing: Thing = None,
        ):
            self.given = locals()
            self.policy = policy

        def update(self, batch):
            return {}

    @dataclass
    class Config:
        temperature: float = knob(above=0)
        depth: int = 2
        sizes: list[int] = field(default_factory=list)

    class Ranged(Algorithm):
        Config = Config

        def __init__(self, policy, **config):
            self.policy = policy

    @dataclass
    class Options:
        rate: float = 1.0

    class Nested(Algorithm):
        def __init__(self, policy, options: Options):
            self.policy = policy

    class Loose(Algorithm):
        def __init__(self, policy, *, lr: float, **rest):
            self.policy = policy

    class Incomplete:
        def __init__(self, policy, lr: float):
            self.policy = policy

    class Network:
        def __init__(self, observation_space, num_outputs: int, width: int = 3):
            pass

        def forward(self, observation):
            return observation

    class Source(SourceDefaults, Stateless):
        def __init__(self, seed: int, rows: int):
            pass

        def sample(self):
            return None

    class Environment:
        def __init__(self, size: int = 3):
            pass

        def make(self):
            return None

        def make_evaluation(self, num_envs, *, render=False):
            return None

    class Evaluator(EvaluatorDefaults):
        def __init__(self, source, repeats: int = 1):
            pass

        def evaluate(self, algorithm):
            return {}

    class Sink(WriterDefaults):
        def __init__(self, location, *, run_dir: str, colour: str = "red"):
            pass

        def write(self, metrics, step, category):
            pass

    def make_source(seed, rows: int):
        return Source(seed, rows)

    NOTHING = 3
"""


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(textwrap.dedent(MINE))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("mine", "broken"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]


def put(folder, **files):
    """Write config files, by `group__option`, and return their folder."""
    for name, text in files.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
    return str(folder)


def compose(*overrides, folder=None, name="train"):
    primary = Primary(name, search_dir=folder)
    plain = composing.to_plain(composing.compose_run(primary, list(overrides)).config)
    validate(plain)
    return plain


def refused(*overrides, folder=None):
    with pytest.raises(ConfigError) as caught:
        compose(*overrides, folder=folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


OWN = ("algo._target_=mine.Algorithm",)


@pytest.mark.parametrize("option", ["bc", "ppo"])
def test_a_class_put_on_an_option_of_pokes_keeps_only_what_it_takes(option):
    assert compose(f"algo={option}", *OWN)["algo"].keys() == {"_target_", "lr"}


@pytest.mark.parametrize(
    ("group", "overrides", "kept"),
    [
        ("network", ["network._target_=mine.Network"], set()),
        (
            "network",
            ["network=mlp", "network._target_=mine.Network", "+network.width=5"],
            {"width"},
        ),
        ("data", ["data._target_=mine.Source", "+data.rows=5"], {"rows", "on_change"}),
        ("data", ["data._target_=mine.make_source", "+data.rows=5"], {"rows", "on_change"}),
        ("env", ["env=cartpole", "env._target_=mine.Environment"], set()),
        ("eval", ["eval._target_=mine.Evaluator"], set()),
        ("eval", ["eval._target_=mine.Evaluator", "+eval.repeats=2"], {"repeats"}),
        ("algo", ["algo._target_=mine.Ranged", "+algo.temperature=1"], {"temperature"}),
        ("algo", ["algo._target_=mine.Nested", "+algo.options={rate: 2}"], {"options"}),
        ("algo", ["debug=overfit", *OWN], {"lr"}),
    ],
)
def test_so_does_one_of_every_group(group, overrides, kept):
    assert compose(*overrides)[group].keys() == {"_target_", *kept}


def test_sinks_are_held_to_their_classes_too():
    put_on = compose("logger.wandb._target_=mine.Sink", "+logger.wandb.colour=blue")
    assert put_on["logger"]["wandb"] == {"_target_": "mine.Sink", "location": ".", "colour": "blue"}
    added = compose("+logger.mine._target_=mine.Sink", "+logger.mine.enabled=false")
    assert added["logger"]["mine"] == {"_target_": "mine.Sink", "enabled": False}
    line = "unknown key logger.mine.color (did you mean logger.mine.colour?)"
    assert refused("+logger.mine={_target_: mine.Sink, color: red}") == line


def test_a_class_that_takes_anything_keeps_everything():
    assert compose("algo._target_=mine.Loose")["algo"]["label_smoothing"] == 0.05


def test_what_the_user_gave_is_not_dropped_but_answered():
    line = "unknown key algo.weight_decay"
    assert refused(*OWN, "algo.weight_decay=0").startswith(line)
    assert refused(*OWN, "+algo={weight_decay: 0}").startswith(line)
    near = "unknown key algo.stepz (did you mean algo.steps?)"
    assert refused(*OWN, "+algo.stepz=1") == near


def test_a_key_that_the_class_takes_and_the_config_lacks_is_put_there_with_a_plus(tmp_path):
    folder = put(tmp_path / "conf", algo__mine="{_target_: mine.Algorithm, lr: 0.5}")
    line = "algo.steps is not in the config yet: +algo.steps=VALUE puts it there"
    near = "unknown key algo.stepz (did you mean algo.steps?)"
    assert refused(*OWN, "algo.steps=3") == line
    assert refused("algo=mine", "algo.steps=3", folder=folder) == line
    assert refused("algo=mine", "algo.stepz=3", folder=folder) == near
    assert compose("algo=mine", "+algo.steps=3", folder=folder)["algo"]["steps"] == 3


def test_keys_taken_out_by_hand_are_no_mistake():
    kept = compose(*OWN, "~algo.weight_decay", "~algo.warmup_steps", "+algo.steps=3")["algo"]
    assert kept.keys() == {"_target_", "lr", "steps"}


def test_a_group_of_ones_own_is_chosen_by_name_and_inherits_nothing(tmp_path):
    folder = put(tmp_path / "conf", algo__mine="{_target_: mine.Algorithm, lr: 0.5}")
    assert compose("algo=mine", folder=folder)["algo"] == {"_target_": "mine.Algorithm", "lr": 0.5}
    kept = compose("algo=mine", "debug=overfit", "algo.lr=2", folder=folder)["algo"]
    assert kept == {"_target_": "mine.Algorithm", "lr": 2}


def test_a_group_that_extends_one_of_pokes_takes_over_what_its_class_takes(tmp_path):
    text = """
        defaults: [bc, _self_]
        _target_: mine.Algorithm
        steps: 7
    """
    folder = put(tmp_path / "conf", algo__mine=text)
    assert compose("algo=mine", folder=folder)["algo"] == {
        "_target_": "mine.Algorithm",
        "lr": 1e-3,
        "steps": 7,
    }


def test_a_wrong_key_in_a_users_own_file_is_answered(tmp_path):
    folder = put(
        tmp_path / "conf",
        algo__mine="{_target_: mine.Algorithm, lr: 1, weight_decay: 0}",
        experiment__mine="# @package _global_\nalgo: {_target_: mine.Algorithm, warmup_steps: 2}",
        primary="defaults: [train, _self_]\nalgo: {_target_: mine.Algorithm, warmup_steps: 2}",
    )
    assert refused("algo=mine", folder=folder).startswith("unknown key algo.weight_decay")
    assert refused("experiment=mine", folder=folder).startswith("unknown key algo.warmup_steps")
    with pytest.raises(ConfigError, match=r"unknown key algo\.warmup_steps"):
        compose(folder=folder, name="primary")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("algo.lr=fast", "algo.lr must be a number, not 'fast'"),
        ("+algo.steps=1.5", "algo.steps must be a whole number, not 1.5"),
        ("+algo.steps=null", "algo.steps must be a whole number, not None"),
        ("+algo.sizes=8", "algo.sizes must be a list, as in algo.sizes=[...], not 8"),
        ("+algo.sizes=[8,x]", "algo.sizes[1] must be a whole number, not 'x'"),
        ("+algo.kind=c", "algo.kind must be one of a, b, not 'c'"),
        ("+algo.limit=x", "algo.limit must be a number, not 'x'"),
        ("+algo.name=[1]", "algo.name must be a whole number, not [1]"),
        ("+algo.by_name={a: x}", "algo.by_name.a must be a number, not 'x'"),
        ("algo.lr=???", "algo.lr must be given, as in algo.lr=VALUE"),
        ("~algo.lr", "algo.lr is missing"),
    ],
)
def test_a_constructors_annotations_are_what_values_are_held_to(override, line):
    assert refused(*OWN, override) == line


@pytest.mark.parametrize(
    "override",
    [
        "algo.lr=1",
        "+algo.limit=null",
        "+algo.limit=inf",
        "+algo.name=x",
        "+algo.by_name={a: 1}",
        "+algo.place=/somewhere",
        "+algo.thing={_target_: mine.Thing, x: 1}",
        "+algo.thing=5",
    ],
)
def test_what_fits_them_is_accepted_and_what_they_do_not_say_is_not_asked(override):
    compose(*OWN, override)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["+algo.temperature=0"], "algo.temperature must be > 0, not 0"),
        (["+algo.temperature=1", "+algo.depth=x"], "algo.depth must be a whole number, not 'x'"),
        (
            ["+algo.temperature=1", "+algo.dept=1"],
            "unknown key algo.dept (did you mean algo.depth?)",
        ),
        ([], "algo.temperature is missing"),
    ],
)
def test_a_dataclass_named_config_is_what_its_class_is_held_to(overrides, line):
    assert refused("algo._target_=mine.Ranged", *overrides) == line


def test_an_argument_that_is_a_dataclass_is_checked_by_its_fields():
    said = refused("algo._target_=mine.Nested", "+algo.options={rat: 1}")
    assert said == "unknown key algo.options.rat (did you mean algo.options.rate?)"


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("nowhere.Algorithm", "algo._target_=nowhere.Algorithm: no module nowhere is found"),
        ("mine.Algoritm", "mine has no Algoritm (did you mean Algorithm?)"),
        ("mine.NOTHING", "algo._target_=mine.NOTHING is neither a class nor a function"),
        ("broken.Algorithm", "broken cannot be imported: SyntaxError"),
        ("mine.Incomplete", "has no update, get_state, set_state: see Algorithm in poke.protocols"),
        ("mine.Source", "algo._target_=mine.Source has no update: see Algorithm"),
    ],
)
def test_a_target_that_is_no_such_part_is_answered(tmp_path, target, line):
    (tmp_path / "broken.py").write_text("def (:\n")
    importlib.invalidate_caches()
    assert line in refused(f"algo._target_={target}")


def test_a_mistake_in_the_rest_is_answered_without_importing_a_users_own_class(tmp_path):
    run = [sys.executable, "-m", "poke.train", "trainer.max_steps=x"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_a_wrong_value_leaves_no_directory(tmp_path):
    run = [sys.executable, "-m", "poke.train", *OWN, "algo.lr=x"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "poke: algo.lr must be a number, not 'x'\n")
    assert not (tmp_path / "outputs").exists()


def test_a_config_of_pokes_parts_is_not_touched():
    plain = compose("algo=ppo")
    assert yaml.safe_load(yaml.safe_dump(plain)) == plain
    assert plain["algo"]["gamma"] == 0.99
