"""Is a config right? The first mistake is answered in one line. Imports no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poke.config.extras import need
from poke.config.knobs import ConfigError, check, did_you_mean
from poke.config.own import check_own
from poke.config.schema import TARGETS, RecordConfig, ShowdownConfig, TrainConfig
from poke.envs.showdown.formats import FormatError, generation
from poke.envs.showdown.names import LEAGUE, SCRIPTED, SELF, BattleError, is_run, shares_of

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

BATTLES = "poke.envs.showdown.battles.BattleEnvironment"
BATTLE_NETWORK = "poke.networks.battle.BattleNetwork"
COLLECTOR = "poke.data.rollout.Collector"
REMOTE = "poke.data.remote.RemoteCollector"
REPLAY = "poke.data.replay.Replay"
TRANSITIONS = "poke.data.transitions.RecordedTransitions"
DQN = "poke.algorithms.off_policy.dqn.DQN"
PLAYING = {COLLECTOR: "rollout", REMOTE: "ray_rollout", REPLAY: "replay"}
_FILES = ("poke.data.demonstrations.Demonstrations", "poke.data.minari.MinariDemonstrations")
_OWN = "algo=ppo learns from its own experience: leave out data=, or data=rollout or ray_rollout"
_SHOWN = "algo=bc learns from demonstrations: choose data=sample, data=file or data=transitions"
_RECORDED = "learns from recorded transitions: take data=transitions data.path=FILE"
_ANY = "learns from transitions: take data=replay, or data=transitions data.path=FILE"
# What poke's algorithms learn from of poke's sources, and the line that says so.
LEARNS_FROM = {
    "poke.algorithms.ppo.PPO": ((COLLECTOR, REMOTE), _OWN),
    "poke.algorithms.bc.BehaviourCloning": ((*_FILES, TRANSITIONS), _SHOWN),
    "poke.algorithms.offline.iql.IQL": ((TRANSITIONS,), f"algo=iql {_RECORDED}"),
    "poke.algorithms.offline.cql.CQL": ((TRANSITIONS,), f"algo=cql {_RECORDED}"),
    "poke.algorithms.offline.crr.CRR": ((TRANSITIONS,), f"algo=crr {_RECORDED}"),
    "poke.algorithms.offline.awr.AWR": ((TRANSITIONS,), f"algo=awr {_RECORDED}"),
    DQN: ((TRANSITIONS, REPLAY), f"algo=dqn {_ANY}"),
    "poke.algorithms.off_policy.sac.SAC": ((TRANSITIONS, REPLAY), f"algo=sac {_ANY}"),
    "poke.algorithms.off_policy.td3.TD3": ((TRANSITIONS, REPLAY), f"algo=td3 {_ANY}"),
}
MINARI = "minari:"  # what `out` begins with to name a dataset and no file
VALUE_EVALUATOR = "poke.algorithms.values.fitted.ValueEvaluator"
HELD_OUT = {"poke.algorithms.bc.HeldOutEvaluator": "heldout", VALUE_EVALUATOR: "values"}
SERVICES = {
    "mlflow": "poke.training.writers.MlflowWriter",
    "trackio": "poke.training.writers.TrackioWriter",
}
DRAWN_BY_PYGAME = re.compile(r"gymnasium\.envs\.(classic_control|box2d|toy_text)\b")
EPISODE_EVALUATOR = "poke.envs.evaluation.EpisodeEvaluator"
BATTLE_EVALUATOR = "poke.envs.showdown.battles.BattleEvaluator"


def validate(config: Mapping[str, Any]) -> None:
    """Check a composed training config.

    Args:
        config: the config as plain, resolved containers.

    Raises:
        ConfigError: for the first unknown key, wrong type, value out of range or contradiction.
    """
    check(config, TrainConfig, TARGETS)
    check_own(config)
    if not _known_device(config["device"]):
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, not '{config['device']}'")
    name = config["sweep"]["name"]
    if name is not None and (not name or "/" in name or name in (".", "..")):
        raise ConfigError(f"sweep must be a plain directory name, not '{name}'")
    _check_early_stopping(config)
    _check_sharing(config["trainer"])
    _check_services(config["logger"])
    _check_playing(config)


def run_out_schedule(config: Mapping[str, Any]) -> str | None:
    """Return the line that says from where on a run learns nothing any more because its schedule has run out."""
    algo, last = config["algo"], config["trainer"]["max_steps"]
    schedule, end = algo.get("lr_schedule", "constant"), algo.get("schedule_steps", last)
    if algo.get("_target_") not in TARGETS or schedule == "constant" or end >= last:
        return None
    return (
        f"the learning rate is 0 from step {end} on, the run goes to {last}: "
        f"algo.schedule_steps={last} ends that (or algo.lr_schedule=constant)"
    )


def validate_recording(config: Mapping[str, Any]) -> None:
    """Check a composed recording config, as `validate` does one of training.

    Args:
        config: the config as plain, resolved containers.

    Raises:
        ConfigError: for the first mistake.
    """
    check(config, RecordConfig, TARGETS)
    _check_out(config)
    if config["replays"] is not None:
        _check_replays(config)
        return
    target = (config["env"] or {}).get("_target_")
    if config["policy"] is not None and target != BATTLES:
        return  # in any other environment
    if target == "poke.envs.gym.GymEnvironment":
        raise ConfigError("this environment needs a teacher, as in policy=RUN_DIR")
    if target is None or TARGETS.get(target, ShowdownConfig) is not ShowdownConfig:
        raise ConfigError("env must be one that can be recorded, as in env=showdown")
    if config["explore"]:
        raise ConfigError(
            "explore=true is for a policy in its environment, as in env=cartpole policy=RUN_DIR: "
            "in battles the most probable actions are recorded"
        )
    if not re.fullmatch(r"gen[1-9]randombattle", config["format"]):
        raise ConfigError(
            f"format must be gen1randombattle to gen9randombattle, not '{config['format']}'"
        )
    if not config["opponents"]:
        raise ConfigError("opponents must name at least one player, as in opponents=[random]")
    experts = experts_of(config)
    _check_players("opponents", config["opponents"])
    if config["policy"] is None:
        _check_players("experts" if config["experts"] else "expert", experts)
    elif not Path(config["policy"]).exists():
        raise ConfigError(f"policy={config['policy']}: there is no such run")


def _check_out(config: Mapping[str, Any]) -> None:
    out = config["out"]
    if out.startswith(MINARI):
        plays = config["policy"] is not None and config["env"].get("_target_") != BATTLES
        if config["replays"] is not None or not plays:
            raise ConfigError(
                "out=minari:NAME is for a policy in its environment, as in env=cartpole policy=RUN_DIR: "
                "battles and replays are recorded into a file"
            )
    elif not out.endswith(".parquet"):
        raise ConfigError(f"out must end in .parquet, or be minari:NAME, not '{out}'")


def experts_of(config: Mapping[str, Any]) -> dict[str, float]:
    """Return who is recorded in battles, with shares of them, of a composed recording config.

    Raises:
        ConfigError: it says so twice, or wrongly.
    """
    mixture = config["experts"]
    if not mixture:
        return {config["policy"] or config["expert"]: 1.0}
    if config["policy"] is not None:
        raise ConfigError("experts= and policy= both say who is recorded: give one of them")
    shares: dict[str, float] = {}
    for entry in mixture:
        if not isinstance(entry, Mapping) or set(entry) != {"player", "share"}:
            raise ConfigError(
                "experts is a list of players and shares, as in "
                f"[{{player: simple_heuristics, share: .2}}, {{player: random, share: .8}}], not {entry!r}"
            )
        player, share = entry["player"], entry["share"]
        if (
            not isinstance(share, int | float)
            or isinstance(share, bool)
            or not 0 < share < math.inf
        ):
            raise ConfigError(f"experts: the share of {player} must be above 0, not {share!r}")
        if player in shares:
            raise ConfigError(f"experts names {player} twice")
        shares[str(player)] = float(share)
    return shares


def _check_players(key: str, names: Iterable[str]) -> None:
    """Refuse who is neither a player of the worker's nor a run."""
    for name in names:
        if name not in SCRIPTED and not Path(name).exists():
            near = did_you_mean(name, [*SCRIPTED])
            raise ConfigError(
                f"{key}: {name} is neither one of {', '.join(SCRIPTED)} nor a run{near}"
            )


def _check_replays(config: Mapping[str, Any]) -> None:
    if config["policy"] is not None:
        raise ConfigError("replays= and policy= are two ways to make a file: give one of them")
    try:
        generation(config["format"])
    except FormatError as error:
        raise ConfigError(str(error)) from error


def _check_early_stopping(config: Mapping[str, Any]) -> None:
    trainer = config["trainer"]
    if not trainer.get("early_stopping", {}).get("patience"):
        return
    if not config.get("eval") or not trainer["eval_every"]:
        lacking = "eval" if not config.get("eval") else "trainer.eval_every"
        raise ConfigError(
            f"trainer.early_stopping.patience counts evaluations, but {lacking} is off"
        )


def _check_sharing(trainer: Mapping[str, Any]) -> None:
    """Refuse what torch cannot compute by weights that are shared out."""
    if trainer.get("strategy") != "fsdp":
        return
    if trainer.get("compile"):
        raise ConfigError("trainer.strategy=fsdp and trainer.compile=true do not go together")
    if trainer.get("precision") == "16-mixed":
        raise ConfigError(
            "trainer.strategy=fsdp and trainer.precision=16-mixed do not go together: bf16-mixed does"
        )


def _check_services(logger: Mapping[str, Any]) -> None:
    """Check that the libraries of the services that are to be told are there."""
    for name, target in SERVICES.items():
        sink = logger.get(name) or {}
        if sink.get("_target_") == target and sink["enabled"]:
            need(f"logger.{name}.enabled=true", name, name)


def _check_playing(config: Mapping[str, Any]) -> None:
    """Check what holds between environment, rollout and algorithm."""
    nodes = [config.get("env") or {}, config["data"], config["algo"]]
    env, data, algo = (node.get("_target_") for node in nodes)
    evaluation = (config.get("eval") or {}).get("_target_")
    if env == "poke.envs.gym.GymEnvironment":
        drawn = DRAWN_BY_PYGAME.match(str(_registered(nodes[0]["id"]).entry_point))
        if drawn and evaluation == EPISODE_EVALUATOR and config["eval"]["video"]:
            need("eval.video=true", "pygame", "video")
    if env == BATTLES:
        _check_battles(nodes[0], evaluation)
    if evaluation == BATTLE_EVALUATOR:
        _check_measured(config["eval"])
    if evaluation == EPISODE_EVALUATOR and env is None:
        raise ConfigError("eval=episodes plays an environment: add one, as in env=cartpole")
    _check_source(env, nodes[1], nodes[2])
    if algo == DQN and (atoms := nodes[2].get("atoms")):
        _check_atoms(atoms, nodes[2])
    if evaluation == VALUE_EVALUATOR and data in TARGETS and data != TRANSITIONS:
        raise ConfigError("eval=values judges by recorded transitions: take data=transitions")
    if evaluation in HELD_OUT and nodes[1].get("val_fraction") == 0:
        name = HELD_OUT[evaluation]
        raise ConfigError(f"eval={name} judges by what is held out: data.val_fraction must be > 0")
    if data == REMOTE:
        _check_remote(nodes[0], nodes[1], config["trainer"])
    if data not in (COLLECTOR, REMOTE):
        return
    known = env in ("poke.envs.gym.GymEnvironment", BATTLES)
    if known and algo == "poke.algorithms.ppo.PPO":
        network = config["network"]
        is_split = network.get("_target_") == BATTLE_NETWORK and not nodes[2]["shared_network"]
        if env == BATTLES and is_split:
            raise ConfigError(
                "network=battle cannot score the value by itself: add algo.shared_network=true, or take network=auto"
            )
        block = nodes[0]["num_envs"] * nodes[1]["num_steps"]
        size = nodes[2]["minibatch_size"]
        if block % size:
            raise ConfigError(
                f"algo.minibatch_size={size} must divide env.num_envs * data.num_steps = {block}"
            )
        if config["network"].get("memory"):
            _check_sequences(nodes[0]["num_envs"], nodes[1]["num_steps"], size)


def _check_source(env: str | None, data: Mapping[str, Any], algo: Mapping[str, Any]) -> None:
    """Check that an algorithm of poke's learns from a source of poke's that has what it takes."""
    source = data.get("_target_")
    if source in PLAYING and env is None:
        raise ConfigError(
            f"data={PLAYING[source]} plays an environment: add one, as in env=cartpole"
        )
    if source == REPLAY and data["capacity"] < data["batch_size"]:
        raise ConfigError(
            f"data.capacity={data['capacity']} holds no batch of data.batch_size={data['batch_size']}"
        )
    sources, line = LEARNS_FROM.get(algo.get("_target_", ""), (None, ""))
    if sources is not None and source in TARGETS and source not in sources:
        raise ConfigError(line)


def _check_remote(
    env: Mapping[str, Any], data: Mapping[str, Any], trainer: Mapping[str, Any]
) -> None:
    """Check that there is a cluster's library, one learner, and as many environments for each actor."""
    need("data=ray_rollout", "ray", "ray")
    if trainer.get("devices", 1) > 1:
        raise ConfigError(
            f"data=ray_rollout has one learner and many that play: leave out trainer.devices={trainer['devices']}"
        )
    if not re.fullmatch(r"local|auto|(ray://)?[^\s:/]+:\d+", data["address"]):
        raise ConfigError(
            f"data.address must be local, auto, HOST:PORT or ray://HOST:PORT, not '{data['address']}'"
        )
    num_envs, num_actors = env.get("num_envs"), data["num_actors"]
    if isinstance(num_envs, int) and num_envs % num_actors:
        raise ConfigError(
            f"data.num_actors={num_actors} must divide env.num_envs={num_envs}: each plays in as many"
        )


def _check_atoms(atoms: int, algo: Mapping[str, Any]) -> None:
    """Check that there is something for distributions to be over."""
    if atoms < 2:
        raise ConfigError("algo.atoms must be 0, or at least 2, as in algo.atoms=51, not 1")
    low, high = algo["low"], algo["high"]
    if not low < high:
        raise ConfigError(f"algo.low={low} must be below algo.high={high}")


def _check_battles(env: Mapping[str, Any], evaluation: str | None) -> None:
    try:
        generation(env["format"])
        shares = shares_of(env["opponent"])
    except (FormatError, BattleError) as error:
        raise ConfigError(str(error)) from error
    players = env["league"]["players"]
    _check_names("env.opponent", shares)
    _check_names("env.league.players", players)
    if stray := [name for name in players if name in (SELF, LEAGUE)]:
        raise ConfigError(f"env.league.players names players, and {stray[0]} is none")
    if evaluation == EPISODE_EVALUATOR and {*shares} <= {SELF, LEAGUE}:
        raise ConfigError(
            f"eval=episodes plays env.opponent, and {' and '.join(shares)} changes with training: "
            "eval=battles plays opponents of its own"
        )


def _check_measured(evaluator: Mapping[str, Any]) -> None:
    names = evaluator["opponents"]
    if not names:
        raise ConfigError("eval.opponents must name at least one, as in eval.opponents=[random]")
    if stray := [name for name in names if name in (SELF, LEAGUE)]:
        raise ConfigError(f"eval.opponents: {stray[0]} changes with training and measures nothing")
    _check_names("eval.opponents", names)
    if evaluator["format"] is not None:
        try:
            generation(evaluator["format"])
        except FormatError as error:
            raise ConfigError(str(error)) from error


def _check_names(key: str, names: Iterable[str]) -> None:
    """Refuse a mistyped player: what is named like one, and is no file or folder that might be a run."""
    for name in names:
        near = did_you_mean(name, [*SCRIPTED, SELF, LEAGUE])
        if near and is_run(name) and not Path(name).exists():
            raise ConfigError(f"{key}: {name} is neither a player nor a run{near}")


def _check_sequences(num_envs: int, num_steps: int, minibatch_size: int) -> None:
    if minibatch_size % num_steps:
        raise ConfigError(
            f"algo.minibatch_size={minibatch_size} must be a multiple of data.num_steps={num_steps}: "
            f"a network with a memory learns from the whole sequences of its {num_envs} environments"
        )


def _registered(id: str) -> EnvSpec:
    from poke.envs.registration import UnsupportedEnvironmentError, find

    try:
        return find(id)
    except UnsupportedEnvironmentError as error:
        raise ConfigError(str(error)) from error


def _known_device(device: str) -> bool:
    kind, _, index = device.partition(":")
    return device in ("auto", "cpu", "cuda") or (kind == "cuda" and index.isdigit())
