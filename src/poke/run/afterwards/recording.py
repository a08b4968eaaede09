"""Record an expert's battles, or a policy's episodes in the environment of its run. Imports no torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from poke.config.knobs import ConfigError
from poke.config.validation import BATTLES, MINARI, experts_of
from poke.run.afterwards.importing import import_replays
from poke.run.afterwards.progress import shown
from poke.run.afterwards.stopping import stops
from poke.run.directory import RunDirectoryError, locate_run
from poke.run.signals import Interrupted, Signals


class RecordingError(RuntimeError):
    """A recording that cannot be made; the message is one line."""


def record(config: Mapping[str, Any]) -> int:
    """Record what a config asks for, say so, and return the exit status: 0, or 128 + N after signal N.

    Args:
        config: of `python -m poke.record`, validated.

    Raises:
        ConfigError: what was asked for does not go together.
        RecordingError: it failed.
    """
    with _failures():
        if config["replays"] is not None:
            with _kept(config["out"]):
                return import_replays(config)
        if config["policy"] is not None and config["env"]["_target_"] != BATTLES:
            return _record_policy(config)
        return _record_battles(config)


def show(path: str) -> int:
    """Print the card of a recording, and return the exit status.

    Raises:
        RecordingError: it cannot be read.
    """
    from poke.data.files.card import card

    with _failures():
        print("\n".join(card(path)))
    return 0


def _record_battles(config: Mapping[str, Any]) -> int:
    try:
        recorder = _recorder(config)
    except ImportError as error:
        raise RecordingError(
            f"recording needs {error.name}: pip install 'poke[showdown]'"
        ) from error
    out, battles = config["out"], config["battles"]
    with stops(recorder.stop) as signals, shown(battles) as show, _kept(out):
        complete = recorder.record(out, battles, on_progress=show)
    if not complete:
        print("stopped; what is recorded is kept: the same command goes on from there")
        return 128 + signals[0]
    print(f"{out} holds {battles} battles")
    return 0


def _recorder(config: Mapping[str, Any]) -> Any:
    """Return what records: of battles poke's own, else what the node itself names."""
    env = config["env"]
    values = {name: config[name] for name in ("format", "opponents", "seed", "concurrency")}
    if env["_target_"] != BATTLES:
        return instantiate(env, expert=config["expert"], **values)
    from poke.envs.showdown.recording import Recorder

    def load(place: str) -> Any:
        # Torch is not for who records scripted players.
        from poke.run.afterwards.loading import load

        return load(place, trust=config["trust"] or ())

    return Recorder(
        **values,
        experts=experts_of(config),
        both_sides=config["both_sides"],
        num_workers=env["num_workers"],
        accelerate=env["accelerate"],
        load=load,
    )


def _record_policy(config: Mapping[str, Any]) -> int:
    """Record a trained policy in the environment it was trained in, from seeds of its own."""
    place, out = Path(config["policy"]), config["out"]
    dataset = out.removeprefix(MINARI) if out.startswith(MINARI) else None
    if dataset is not None:
        from poke.data.files.to_minari import refuse_name

        refuse_name(dataset)  # before anything is played
    with Signals() as signals:
        try:
            with signals.interrupting():
                recorded = _played(place, config)
        except Interrupted:
            print(f"poke: {signals.reason}: nothing is written", file=sys.stderr)
            return 128 + signals.received
        num_episodes = recorded.num_episodes
        if dataset is None:
            from poke.data import trajectories

            trajectories.write(out, recorded)  # whole or not at all, and done in a moment
        else:
            from poke.data.files import to_minari

            how = "draws" if config["explore"] else "its most probable actions"
            about = f"{place} in {config['env'].get('id')}, by {how}"
            num_episodes = to_minari.write(dataset, recorded, description=about)
    mean = float(recorded.reward.sum()) / recorded.num_episodes
    print(f"{out} holds {num_episodes} episodes with a mean return of {mean:.6g}")
    return 0


def _played(place: Path, config: Mapping[str, Any]) -> Any:
    from poke.envs.episodes import record_episodes
    from poke.run.afterwards.foreign import environment_of
    from poke.run.afterwards.loading import load

    trust = config.get("trust") or ()
    try:
        run, _ = locate_run(str(place))
    except RunDirectoryError as error:
        raise ConfigError(f"policy={place}: {error}") from error
    environment = environment_of(run, config["env"], trust)
    policy = load(place, trust=trust)
    if policy.observation_space.shape != environment.observation_space.shape:
        raise ConfigError(
            f"policy={place} sees {policy.observation_space}, the environment shows "
            f"{environment.observation_space}"
        )
    environments = environment.make_evaluation(min(8, config["episodes"]))
    try:
        return record_episodes(
            environments,
            policy,
            num_episodes=config["episodes"],
            seed=config["seed"],
            metadata={
                "env": config["env"].get("id"),
                "policy": str(place),
                "seed": config["seed"],
                **({"explore": True} if config["explore"] else {}),
            },
            explore=config["explore"],
        )
    finally:
        environments.close()


@contextmanager
def _kept(out: str) -> Iterator[None]:
    """Say of a disk that takes no more that what is in parts beside the file stays."""
    try:
        yield
    except OSError as error:
        if error.strerror is None:  # one of ours
            raise
        raise RecordingError(
            f"{out} cannot be written: {error.strerror}; what is there is kept: the same command goes on from there"
        ) from error


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what a recording may meet into one line."""
    try:
        yield
    except ConfigError:
        raise
    except (ValueError, RuntimeError, OSError) as error:
        known = type(error).__module__.startswith("poke.") or isinstance(error, OSError)
        if not known:
            raise
        raise RecordingError(" ".join(str(error).split())) from error
