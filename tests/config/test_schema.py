import pytest

from poke.config import composing
from poke.config.knobs import ConfigError
from poke.config.validation import run_out_schedule, validate


def compose(*overrides):
    return composing.to_plain(composing.compose("train", list(overrides)))


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("algo.lrr=1", "unknown key algo.lrr (did you mean algo.lr?)"),
        ("+algo.lrr=1", "unknown key algo.lrr (did you mean algo.lr?)"),
        ("++algo.lrr=1", "unknown key algo.lrr (did you mean algo.lr?)"),
        (
            "+logger.csv.lokation=x",
            "unknown key logger.csv.lokation (did you mean logger.csv.location?)",
        ),
        ("+logger.mine.x=1", "unknown key logger.mine"),
        ("+algo.mine._target_=mine.Sink", "unknown key algo.mine"),
        (
            "+logger.copy={_target_:poke.training.writers.CsvWriter,enabled:1,location:x}",
            "logger.copy.enabled must be true or false, not 1",
        ),
        ("sede=1", "unknown key sede (did you mean seed?)"),
        ("+frobnicate=1", "unknown key frobnicate"),
        ("algo.lr.foo=3", "unknown key algo.lr.foo"),
        ("~algo.lr", "algo.lr is missing"),
        ("~algo.lrr", "unknown key algo.lrr (did you mean algo.lr?)"),
        ("algo=bcc", "no option algo=bcc (choose from awr, bc"),
        ("trainer=foo", "no option trainer=foo (choose from default)"),
        ("algo.lr=abc", "algo.lr must be a number, not 'abc'"),
        ("algo.lr=true", "algo.lr must be a number, not True"),
        ("algo.lr=null", "algo.lr must be a number, not None"),
        ("algo.lr=0", "algo.lr must be > 0, not 0"),
        ("algo.lr=nan", "algo.lr must be finite, not nan"),
        ("algo.label_smoothing=1", "algo.label_smoothing must be < 1, not 1"),
        (
            "algo.lr_schedule=linear",
            "algo.lr_schedule must be one of constant, cosine, not 'linear'",
        ),
        ("trainer.max_steps=1.5", "trainer.max_steps must be a whole number, not 1.5"),
        ("trainer.max_steps=-1", "trainer.max_steps must be >= 0, not -1"),
        ("logger.cli_frequency=-5", "logger.cli_frequency must be >= 0, not -5"),
        ("logger.csv.enabled=maybe", "logger.csv.enabled must be true or false, not 'maybe'"),
        ("logger.wandb.mode=on", "logger.wandb.mode must be"),
        ("checkpoint.max_to_keep=0", "checkpoint.max_to_keep must be >= 1, not 0"),
        ("checkpoint.mode=best", "checkpoint.mode must be one of min, max, not 'best'"),
        (
            "trainer.precision=half",
            "trainer.precision must be one of 32, bf16-mixed, 16-mixed, not 'half'",
        ),
        (
            "trainer.precision=16",
            "trainer.precision must be one of 32, bf16-mixed, 16-mixed, not 16",
        ),
        ("trainer.accumulate=0", "trainer.accumulate must be >= 1, not 0"),
        ("device=gpu", "device must be auto, cpu, cuda or cuda:N, not 'gpu'"),
        ("seed=-1", "seed must be >= 0, not -1"),
        ("seed=0,1", "seed=0,1 names several values: add -m to sweep, or write [a,b] for a list"),
        (
            "trainer=5",
            "a group is chosen by name, as in algo=bc; its values by key, as in algo.lr=3e-4",
        ),
        ("data=file", "data.path must be given, as in data.path=VALUE"),
        ("data=null", "a group is chosen by name, as in algo=bc"),
        ("~data", "data is missing"),
        ("sweep.name=a/b", "sweep must be a plain directory name, not 'a/b'"),
        ("trainer.max_steps=${nowhere}", "Interpolation key 'nowhere' not found"),
        ("data.path=a=b", "cannot read 'data.path=a=b': put special characters in quotes"),
        ("nonsense", "cannot read 'nonsense': an override looks like key=value"),
    ],
)
def test_a_mistake_is_answered_in_one_line(override, line):
    overrides = ["network=mlp", "network.hidden_sizes=[8]", override]
    with pytest.raises(ConfigError) as caught:
        validate(compose(*overrides))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_list_items_are_checked_one_by_one():
    with pytest.raises(
        ConfigError, match=r"network.hidden_sizes\[1\] must be a whole number, not 'x'"
    ):
        validate(compose("network=mlp", "network.hidden_sizes=[8,x]"))


@pytest.mark.parametrize(
    "override",
    [
        "algo.lr=1",
        "algo.lr=1e-4",
        "logger.cli_frequency=null",
        "device=cuda:1",
        "debug=fast",
        "~eval",
        "logger=many",
    ],
)
def test_what_is_right_is_accepted(override):
    validate(compose(override))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ([], None),
        (
            ["algo.schedule_steps=500"],
            "the learning rate is 0 from step 500 on, the run goes to 1500",
        ),
        (["algo.schedule_steps=500", "algo.lr_schedule=constant"], None),
        (
            ["algo=ppo", "trainer.max_steps=600000", "algo.schedule_steps=500000"],
            "0 from step 500000",
        ),
    ],
)
def test_a_schedule_that_has_run_out_is_said_with_the_knob_that_ends_that(overrides, line):
    said = run_out_schedule(composing.to_plain(composing.compose("train", overrides)))
    if line is None:
        assert said is None
    else:
        assert line in said
        assert "algo.schedule_steps=" in said
