"""What another run plays and learns from, made from its config: for what its checkpoints do not say.

A config from elsewhere is data, and names what is called. Only poke's own parts are, and those of trusted packages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from poke.config.knobs import ConfigError
from poke.config.schema import TARGETS
from poke.policies.loading import SavedPolicy, build_saved
from poke.policies.policy import Policy, PolicyError
from poke.policies.trust import refusal, resolve, targets, trusted
from poke.run.agent import Agent
from poke.run.telling.account import read_config

# What this module exports is classes; deeper names may lead anywhere.
WRAPPER = re.compile(r"gymnasium\.wrappers\.[A-Z]\w*")


def environment_of(run_dir: Path, expected: Mapping[str, Any], trust: Sequence[str] = ()) -> Any:
    """Return what makes the environments that a run plays.

    Args:
        run_dir: the run's.
        expected: the node of the environment that somebody here has named.
        trust: packages whose classes may be built besides.

    Raises:
        ConfigError: no config there, one of another environment, or one that names what is not trusted.
    """
    node = dict(read_config(run_dir)["env"] or {})
    theirs, ours = (each.get("id", each.get("_target_")) for each in (node, expected))
    if theirs != ours:
        raise ConfigError(f"policy={run_dir} plays {theirs}, env is {ours}")
    _refuse_untrusted(run_dir, node, trust)
    # The environment makes its wrappers itself.
    own = {name: node.pop(name) for name in ("wrappers",) if name in node}
    return instantiate(node, _convert_="all", _partial_=True)(**own)


def policy_of(run_dir: Path, saved: SavedPolicy, trust: Sequence[str] = ()) -> Policy:
    """Return a policy that does not say what it is made of, described by its run's config, data and environment.

    Args:
        run_dir: the run's.
        saved: one of its checkpoints.
        trust: as of `environment_of`.

    Raises:
        ConfigError: no config there, or one that names what is not trusted.
        PolicyError: it does not fit what the config describes.
    """
    config = {**read_config(run_dir), "device": "cpu"}
    parts = {name: config.get(name) for name in ("env", "data", "algo", "network")}
    _refuse_untrusted(run_dir, parts, trust)
    module, colon, _ = str((config.get("env") or {}).get("id", "")).partition(":")
    if colon and not trusted(module, trust):
        raise ConfigError(f"{run_dir}: its env.id imports {module}: trust=[{module}] lets it")
    try:
        agent = Agent(config)
    except (ValueError, OSError) as error:
        raise PolicyError(f"{run_dir}: {' '.join(str(error).split())}") from error
    try:
        description = agent.algorithm.policy.get_state()["description"]
    finally:
        if hasattr(agent.source, "close"):
            agent.source.close()
    state = {**saved.state, "description": description}
    return build_saved(SavedPolicy(saved.file, state, saved.about), trust=trust)


def _refuse_untrusted(run_dir: Path, node: Any, trust: Sequence[str]) -> None:
    """Look at every `_target_` in a config before any of them is called.

    Raises:
        ConfigError: the first that is neither a part of poke's, a network, a wrapper of Gymnasium's, nor trusted.
    """
    for target in targets(node):
        if trusted(target, trust) or (isinstance(target, str) and _is_known(target)):
            continue
        raise ConfigError(f"{run_dir}: {refusal(target)}")


def _is_known(target: str) -> bool:
    if target in TARGETS or WRAPPER.fullmatch(target):
        return True
    try:
        resolve(target, ())
    except PolicyError:
        return False
    return True
