"""A run's own config: its interpolations go on, values given take effect or are refused by name."""

import random

import pytest
import yaml
from omegaconf import OmegaConf

from poke.config import composing, migrations
from poke.config.knobs import ConfigError, leaf_keys
from poke.config.saved import from_folders, read_run
from poke.config.validation import validate


def save(run_dir, *overrides, choices=None, interpolations=True):
    """Leave what a run leaves of its config."""
    config = composing.compose("train", list(overrides))
    run_dir.mkdir(exist_ok=True)
    (run_dir / ".hydra").mkdir(exist_ok=True)
    plain = composing.to_plain(config)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(plain))
    if interpolations:
        (run_dir / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(config))
    about = {"hydra": {"runtime": {"choices": choices or {}}}}
    (run_dir / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump(about))
    return run_dir


@pytest.fixture
def bc(tmp_path):
    return save(tmp_path / "bc", "algo=bc", "network=mlp", choices={"algo": "bc", "network": "mlp"})


@pytest.fixture
def ppo(tmp_path):
    return save(tmp_path / "ppo", "algo=ppo")


def test_what_follows_another_value_follows_it_on_resume(bc):
    saved = read_run(bc, ["trainer.max_steps=3000"])
    assert saved.plain["algo"]["schedule_steps"] == 3000
    assert saved.changed == {
        "trainer.max_steps": (1500, 3000),
        "algo.schedule_steps": (1500, 3000),
    }
    assert OmegaConf.to_container(saved.unresolved)["algo"]["schedule_steps"] == (
        "${trainer.max_steps}"
    )


def test_a_value_that_was_given_for_it_stays(tmp_path):
    run = save(tmp_path / "run", "algo.schedule_steps=700")
    assert read_run(run, ["trainer.max_steps=3000"]).plain["algo"]["schedule_steps"] == 700


def test_the_resolved_value_counts_where_an_interpolation_leads_elsewhere_now(bc, monkeypatch):
    text = (bc / ".hydra" / "config.yaml").read_text()
    monkeypatch.setenv("SOMEWHERE", "elsewhere")
    text = text.replace("path: sample:gen1randombattle", "path: ${oc.env:SOMEWHERE}")
    (bc / ".hydra" / "config.yaml").write_text(text)
    assert read_run(bc).plain["data"]["path"] == "sample:gen1randombattle"


def test_without_the_interpolations_the_values_stand(tmp_path):
    run = save(tmp_path / "run", interpolations=False)
    assert read_run(run, ["trainer.max_steps=3000"]).plain["algo"]["schedule_steps"] == 1500


@pytest.mark.parametrize(
    "override",
    [
        "algo.gamma=0.9",
        "env.num_envs=8",
        "eval.episodes=50",
        "network.activation=relu",
        "+logger.reduce.episodes=sum",
        "env.kwargs={gravity: 9.8}",
        "env.kwargs.gravity=9.8",
        "logger=many",
    ],
)
def test_any_key_the_runs_own_config_has_can_be_given(ppo, override):
    saved = read_run(ppo, [override])
    validate(saved.plain)
    assert saved.changed or override == "+logger.reduce.episodes=sum"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("algo.gama=0.9", r"unknown key algo.gama \(did you mean algo.gamma\?\)"),
        ("algo.label_smoothing=0", "unknown key algo.label_smoothing"),
        ("algo=bc", "algo=bc is of another kind than the run's"),
        ("network=battle", "network=battle is of another kind"),
        ("network._target_=poke.networks.cnn.CNN", "network=poke.networks.cnn.CNN is of another"),
        ("seed=5", "seed=5 cannot be given to a run that has begun: every random state"),
        ("env.id=Acrobot-v1", "env.id=Acrobot-v1 cannot be given"),
        ("init_from.path=x", "init_from.path=x cannot be given"),
        ("experiment=ppo_hopper", "experiment=ppo_hopper is chosen when a run begins"),
        ("hydra.job.chdir=true", "hydra.job.chdir cannot be given to a run that has begun"),
        ("algo.lr=1,2", "algo.lr=1,2 names several values"),
        ("trainer=5", "a group is chosen by name"),
        ("env={id: 1}", "env.id=1 cannot be given"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(ppo, override, line):
    with pytest.raises(ConfigError, match=line) as refused:
        validate(read_run(ppo, [override]).plain)
    assert "\n" not in str(refused.value)


def test_the_option_a_run_began_with_may_be_given_again(bc):
    assert read_run(bc, ["algo=bc", "network=mlp"]).changed == {}


def test_another_option_of_the_same_kind_gives_its_values(bc):
    saved = read_run(bc, ["network=mlp64"])
    assert saved.changed["network.activation"] == ("relu", "tanh")


def answer(read):
    """The line a mistake is answered in; nothing where there is none."""
    try:
        read()
    except ConfigError as error:
        return str(error)
    return ""


def test_no_override_of_any_kind_ends_in_a_traceback(ppo):
    """Generated: every key, deleted, added, given values of every kind."""
    draw = random.Random(0)
    keys = list(leaf_keys(read_run(ppo).plain))
    values = ["1", "-1", "abc", "null", "true", "[1,a]", "{a: 1}", "''", "${seed}", "1e30", "'x y'"]
    for _ in range(100):
        key = draw.choice(keys)
        form = draw.choice(["{k}={v}", "+{k}={v}", "++{k}={v}", "~{k}", "{k}.x={v}", "{k}x={v}"])
        override = form.format(k=key, v=draw.choice(values))
        assert "\n" not in answer(
            lambda override=override: validate(read_run(ppo, [override]).plain)
        )


def test_a_knob_that_came_since_gets_its_default_and_one_that_went_is_dropped(bc):
    for name in ("config.yaml", ".hydra/config.yaml"):
        config = yaml.safe_load((bc / name).read_text())
        del config["trainer"]["eval_every"], config["algo"]["schedule_steps"], config["fork"]
        config["algo"]["nesterov"] = True
        (bc / name).write_text(yaml.safe_dump(config))
    saved = read_run(bc, ["trainer.max_steps=10"])
    validate(saved.plain)
    assert saved.plain["trainer"]["eval_every"] == 250
    assert saved.plain["algo"]["schedule_steps"] == 10  # a default that follows another value
    assert "nesterov" not in saved.plain["algo"]
    assert sorted(saved.notes) == [
        "algo.nesterov is no knob any more: dropped (it was True)",
        "algo.schedule_steps came since: ${trainer.max_steps}",
        "trainer.eval_every came since: 250",
    ]


def test_a_users_own_parts_keep_keys_that_poke_does_not_know(tmp_path, monkeypatch):
    (tmp_path / "saved_by_mine.py").write_text(
        "from poke.protocols import Stateless\n"
        "class Algorithm(Stateless):\n"
        "    def __init__(self, policy, *, own: int): pass\n"
        "    def update(self, batch): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    given = ("algo._target_=saved_by_mine.Algorithm", "+algo.own=3")
    run = save(tmp_path / "run", *given, choices={"algo": "bc"})
    saved = read_run(run, ["algo=bc", given[0], "algo.own=4"])
    validate(saved.plain)
    assert (saved.plain["algo"].keys(), saved.notes) == ({"_target_", "own"}, [])
    assert saved.changed == {"algo.own": (3, 4)}
    with pytest.raises(ConfigError, match=r"algo\.own must be a whole number, not 'x'"):
        validate(read_run(run, ["algo.own=x"]).plain)


def test_a_config_of_a_newer_poke_is_refused_and_of_an_older_one_migrated(bc, monkeypatch):
    with pytest.raises(ConfigError, match="was made by a newer poke: its config has format 2"):
        read_run(bc, version=2)

    def rename(config):
        config.trainer.max_steps = config.trainer.pop("length")

    for name in ("config.yaml", ".hydra/config.yaml"):
        text = (bc / name).read_text().replace("max_steps: 1500", "length: 1500")
        (bc / name).write_text(text.replace("${trainer.max_steps}", "1500"))
    monkeypatch.setattr(migrations, "CONFIG_FORMAT", 2)
    monkeypatch.setitem(migrations.MIGRATIONS, 1, rename)
    saved = read_run(bc, version=1)
    assert saved.plain["trainer"]["max_steps"] == 1500
    assert saved.notes == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[1]", "it holds no mapping"),
        ("{a", "cannot be read"),
        ("a: ${b}", "cannot be read|key 'b'"),
    ],
)
def test_a_damaged_config_is_said_in_one_line(bc, text, line):
    (bc / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=line) as refused:
        read_run(bc)
    assert "\n" not in str(refused.value)


def test_relative_paths_are_found_again_from_where_they_were_given(tmp_path, monkeypatch):
    for name in ("then", "now"):
        (tmp_path / name).mkdir()
    (tmp_path / "then" / "x.npz").touch()
    monkeypatch.chdir(tmp_path / "now")
    plain = {"data": {"path": "x.npz"}, "init_from": {"path": None}, "seed": 0}
    folders = [str(tmp_path / "gone"), str(tmp_path / "then"), str(tmp_path / "now")]
    assert from_folders(plain, folders)["data"]["path"] == str(tmp_path / "then" / "x.npz")
    assert plain["data"]["path"] == "x.npz"
    several = from_folders({"data": {"path": ["x.npz", "sample:y", "/z"]}}, folders)
    assert several["data"]["path"] == [str(tmp_path / "then" / "x.npz"), "sample:y", "/z"]
    missing = {"data": {"path": "sample:gen1randombattle"}, "init_from": {"path": "/absolute"}}
    assert from_folders(missing, folders) == missing
