"""A run begins with the config that was checked, as Hydra would compose it in the run's directory."""

import itertools
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from poke.config import composing
from poke.config.composing import Primary
from poke.sweep import naming

OVERRIDES = {
    "nothing": (),
    "a directory": ("algo=bc", "hydra.run.dir=elsewhere"),
    "a directory that is added": ("++hydra.run.dir=elsewhere", "seed=3"),
    "others of Hydra's": ("hydra.job.chdir=true", "hydra.run.dir=a", "hydra.verbose=true"),
    "groups and values": ("algo=ppo", "algo.lr=3e-4", "env=showdown", "logger.cli_frequency=10"),
    "what is added and taken away": ("~eval", "+algo.mine=1", "network.hidden_sizes=[8,8]"),
    "a preset": ("experiment=ppo_gen1", "env.opponent={self: 1, random: 2}"),
    "what leads to the directory": ("checkpoint.mirror=${hydra:run.dir}/mirror",),
}


@pytest.mark.parametrize("name", OVERRIDES)
@pytest.mark.parametrize("run_dir", ["outputs/run", "with 'quotes', and = \\ signs"])
def test_it_is_not_composed_again(name, run_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    naming.register_resolver()
    primary = Primary()
    placed = composing.compose_run(primary, OVERRIDES[name]).whole
    composing.place(placed, Path(run_dir))
    others = [o for o in OVERRIDES[name] if "hydra.run.dir=" not in o]
    run_in = f"hydra.run.dir={composing.quoted(Path(run_dir))}"
    composed = composing.compose_whole(primary, [*others, run_in])
    assert OmegaConf.to_yaml(placed) == OmegaConf.to_yaml(composed)
    seen = []
    for whole, overrides in ((placed, []), (None, [*others, run_in])):
        with primary.hydra(whole) as engine:
            engine.run("train", seen.append, overrides, with_log_configuration=False)
    ours, theirs = (OmegaConf.to_container(c, resolve=False) for c in seen)
    assert ours == theirs
    assert "hydra" not in ours


def test_a_quoted_path_is_read_as_it_is():
    paths = [Path("".join(signs)) for signs in itertools.product("\\'\"=, a", repeat=3)]
    overrides = composing.parse([f"hydra.run.dir={composing.quoted(path)}" for path in paths])
    assert [override.value() for override in overrides] == [str(path) for path in paths]
