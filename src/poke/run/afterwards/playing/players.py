"""Who plays, and what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poke.envs.showdown.battles.environment import spaces
from poke.envs.showdown.battles.opponents import misfit
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.names import BattleError
from poke.envs.showdown.pipes.lines import LineWorker
from poke.policies.policy import Policy
from poke.run.afterwards.loading import load


@dataclass(frozen=True)
class Cast:
    """Who plays, and what.

    Args:
        policies: by the names of their runs.
        battle_format: such as ``gen1randombattle``.
        teams: packed, that both sides draw from; none where the format draws its own.
    """

    policies: Mapping[str, Policy]
    battle_format: str
    teams: Sequence[str]


class PlayingError(Exception):
    """Battles that cannot be played; the message is one line.

    Args:
        message: the line.
        status: of the process: 2 where what was asked for does not go together, 1 where it failed.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def one_line(error: Exception) -> str:
    """Return what an error says as one line."""
    return " ".join(str(error).split())


def cast(
    runs: Sequence[str],
    *,
    format: str | None,
    teams: str | None,
    checkpoint: str,
    trust: Sequence[str],
) -> Cast:
    """Load policies, and see to it that they can play.

    Args:
        runs: of the policies, as `poke.load` takes them.
        format: such as ``gen1randombattle``; None for random battles of the first policy's generation.
        teams: a file of teams, for a format that needs them.
        checkpoint: as of `poke.load`.
        trust: as of `poke.load`.

    Raises:
        PlayingError: they cannot.
    """
    policies = {run: loaded(run, checkpoint=checkpoint, trust=trust) for run in runs}
    battle_format = format_for(policies[runs[0]], format)
    for run, policy in policies.items():
        check_fit(run, policy, battle_format)
    return Cast(policies, battle_format, teams_for(battle_format, teams))


def loaded(run: str, *, checkpoint: str, trust: Sequence[str]) -> Policy:
    """Return a run's policy.

    Args:
        run: as of `poke.load`.
        checkpoint: as of `poke.load`.
        trust: as of `poke.load`.

    Raises:
        PlayingError: there is none.
    """
    try:
        return load(run, checkpoint=checkpoint, trust=trust)
    except ValueError as error:
        raise PlayingError(one_line(error), 2) from error


def format_for(policy: Policy, asked: str | None) -> str:
    """Return what is to be played: what is asked for, or random battles of the policy's generation."""
    generation = (policy.observation_space.layout or {}).get("generation", 1)
    return asked or f"gen{generation}randombattle"


def check_fit(run: str, policy: Policy, battle_format: str) -> None:
    """See to it that a run's policy plays a format.

    Raises:
        PlayingError: it was not trained for it, or there is no such format.
    """
    try:
        shown = spaces(battle_format)
    except ValueError as error:
        raise PlayingError(one_line(error), 2) from error
    why = misfit(policy.observation_space, policy.action_space, *shown)
    if why:
        raise PlayingError(f"{run} {why}", 2)


def teams_for(battle_format: str, teams: str | None) -> list[str]:
    """Return the packed teams that a format is played with; none where it draws its own.

    Args:
        battle_format: such as ``gen1ou``.
        teams: a file of them.

    Raises:
        PlayingError: the format is not played, or not with these teams; node or the package is missing.
    """
    try:
        with LineWorker() as worker:
            return worker.teams(battle_format, teams)
    except (ShowdownError, BattleError) as error:
        raise PlayingError(one_line(error), 1) from error
    except ValueError as error:
        raise PlayingError(one_line(error), 2) from error
