"""Every form of an override that Hydra's grammar takes is read, or refused in one line."""

import itertools

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from poke.config.composing import Primary
from poke.config.knobs import ConfigError
from poke.sweep.axes import MAX_JOBS, combinations, read_axes
from poke.sweep.naming import digest, identity

KEYS = (
    "network",
    "++algo.lr",
    "~algo",
    "+network@algo.sub",
    "+nope/deep",
    "",
)
ELEMENTS = (
    "1e-3", "-0.5", "1e500", "nan", "12", "1_000", "true", "null", "", "mlp", "a b", "x\\,y", "a/b", "a:b", "'1e-3'",
    "\"q'x\"", "'a=b,c'", "'back\\slash'", "'\\'quoted\\''", "${seed}", "'${seed}'", "$x", "é'", "[1,2]",
    "[a,[b,'c d']]", "{a:1}", "{a:{b:'x y'},c:[1]}", "{}", "[]", "{lr:1e-3}", "[choice(1,2)]", "{a:range(3)}", "*",
    "@", "a@b",
)  # fmt: skip
SWEEPS = (
    "1,2", "choice(a,'b c',3)", "choice([1],{a:2})", "choice(choice(1,2),3)", "1,range(3)", "interval(1,2),3",
    "range(3)", "range(1,9,2)", "range(9,1,-3)", "range(0,1,0.25)", "range(5,1)", "range(1,5,0)", "range(0.0,1,0)",
    "range(1,inf)", "range(nan,3)", "float(range(3))", "int(1.5,2.5)", "str(1,2)",
    "str(true,null)", "str([1,a],{b:2})", "str([1,{a:false}])", "shuffle(1,2,3)", "shuffle(range(4))",
    "shuffle()", "shuffle([1,2])", "sort(3,1,2)", "sort(range(3),reverse=true)", "sort(b,'a',c)", "tag(x,choice(1,2))",
    "interval(1,5)", "interval(1e-5,1)", "interval(2,1)", "interval(1,nan)", "tag(log,interval(1e-5,1))",
    "tag(log,interval(0,1))", "int(interval(1.5,3.2))", "glob(*)", "glob(mlp*)", "glob([m*,c*],exclude=*64)",
    "glob(nope*)", "'a,b','c'", "null,1", "[1,2],[3]", "{a:1},{a:2}", "a,,b", "foo(1)", "int(abc)", "tag(1)", "range()",
)  # fmt: skip


@pytest.fixture(scope="module")
def loader():
    with Primary().hydra() as hydra:
        yield hydra.config_loader


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert text.strip()
    assert "\n" not in text
    return text


@pytest.mark.parametrize("key", KEYS)
def test_whatever_the_grammar_takes_becomes_overrides_that_mean_the_same_or_one_line(key, loader):
    parser = OverridesParser.create(config_loader=loader)
    read, refused = 0, []
    for value in (*ELEMENTS, *SWEEPS):
        try:
            (axis,) = read_axes([f"{key}={value}"], loader)
        except ConfigError as error:
            refused.append(str(error))
            continue
        read += 1
        assert axis.key == key
        for text, meant in zip(axis.texts, axis.values, strict=True):
            parsed = parser.parse_override(text)
            assert not parsed.is_sweep_override()
            assert (parsed.get_key_element(), repr(parsed.value())) == (key, repr(meant))
            digest([text])
    assert read >= 40
    assert all(line.strip() and "\n" not in line for line in refused)


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("network=mlp,mlp64", ["mlp", "mlp64"]),
        ("network=glob(mlp*)", ["mlp", "mlp64"]),
        ("network=glob(*,exclude=[a*,c*,b*])", ["mlp", "mlp64"]),
        ("network=choice(mlp,cnn)", ["mlp", "cnn"]),
        ("seed=range(1,7,2)", [1, 3, 5]),
        ("seed=sort(3,1,2)", [1, 2, 3]),
        ("seed=sort(range(3),reverse=true)", [2, 1, 0]),
        ("algo.lr=range(0,1,0.25)", [0.0, 0.25, 0.5, 0.75]),
        ("data.path='a,b','c d'", ["a,b", "c d"]),
        ("network.hidden_sizes=[8,8],[16]", [[8, 8], [16]]),
        ("network={hidden_sizes:[8]},{hidden_sizes:[9]}", [{"hidden_sizes": [8]}, {"hidden_sizes": [9]}]),
        ("~network", [None]),
    ],
)  # fmt: skip
def test_values_of_an_axis(loader, override, values):
    (axis,) = read_axes([override], loader)
    assert list(axis.values) == values


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed=range(5,1)", "seed=range(5,1) is an empty axis"),
        ("seed=range(0,inf)", "seed=range(0,inf) has more values than a sweep takes"),
        ("seed=range(0,5,0)", "seed=range(0,5,0) has no values that can be listed: "),
        ("seed=range(nan,3)", "seed=range(nan,3) has no values that can be listed: "),
        ("seed=choice(choice(1,2),3)", "seed=choice(choice(1,2),3) has an axis within a value"),
        ("seed=interval(5,1)", "seed=interval(5,1) is no interval from a lower to a higher number"),
        ("algo.lr=tag(log,interval(0,1))", "is logarithmic: it must begin above 0"),
        ("seed=int(abc)", "cannot read 'seed=int(abc)': invalid literal"),
        ("seed=foo(1)", "cannot read 'seed=foo(1)': Unknown function 'foo'"),
        ("network=glob(nope*)", "network=glob(nope*) is an empty axis"),
    ],
)
def test_an_axis_that_cannot_be_is_refused_with_its_reason(loader, override, line):
    with pytest.raises(ConfigError) as caught:
        read_axes([override], loader)
    assert line in one_line(caught)


def test_a_grid_has_every_combination_and_constants_as_they_are(loader):
    axes = read_axes(["seed=0,1", "~logger.csv", "data.path='a b'", "network=glob(mlp*)"], loader)
    jobs = combinations(axes)
    assert jobs == [
        [f"seed={seed}", "~logger.csv", "data.path='a b'", f"network={network}"]
        for seed, network in itertools.product((0, 1), ("mlp", "mlp64"))
    ]


def test_an_axis_given_again_is_replaced_and_mappings_complement_each_other(loader):
    assert combinations(read_axes(["seed=0,1", "seed=2"], loader)) == [["seed=2"]]
    both = read_axes(["network=mlp,mlp64", "network={hidden_sizes:[8]}"], loader)
    assert len({digest(job) for job in combinations(both)}) == 2
    (job,) = combinations(read_axes(["algo={lr:1}", "algo={clip_range:2}"], loader))
    assert identity(job) == {"algo": {"lr": 1, "clip_range": 2}}
    assert digest(job) != digest(job[1:])


def test_shuffled_axes_have_the_same_jobs_in_any_order(loader):
    jobs = combinations(read_axes(["seed=shuffle(range(50))"], loader))
    assert sorted(jobs) == sorted([f"seed={seed}"] for seed in range(50))


def test_a_list_shuffled_by_the_grammar_is_one_list_in_all_jobs(loader):
    jobs = combinations(read_axes(["x=shuffle([1,2,3,4,5,6,7,8])", "seed=range(9)"], loader))
    assert len({job[0] for job in jobs}) == 1


def test_more_jobs_than_a_sweep_takes_are_not_listed(loader):
    axes = read_axes([f"{key}=range(1001)" for key in "ab"], loader)
    assert MAX_JOBS < 1001**2
    with pytest.raises(ConfigError) as caught:
        combinations(axes)
    assert one_line(caught).startswith("1,002,001 jobs are more than a sweep takes")


def test_an_interval_is_no_grid(loader):
    with pytest.raises(ConfigError) as caught:
        combinations(read_axes(["algo.lr=interval(0,1)"], loader))
    assert "add hydra/sweeper=optuna" in one_line(caught)
