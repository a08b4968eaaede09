"""Let a policy battle on a real server, and say how it did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from poke.envs.showdown.battles.environment import open_workers, spaces
from poke.envs.showdown.battles.evaluation import wilson
from poke.envs.showdown.battles.opponents import misfit
from poke.envs.showdown.formats import FormatError
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.names import BattleError
from poke.envs.showdown.server import ShowdownServer
from poke.policies.loading import load
from poke.policies.policy import Policy
from poke.run.afterwards.progress import shown
from poke.run.afterwards.stopping import stops


class PlayingError(Exception):
    """Battles that cannot be played; the message is one line.

    Args:
        message: the line.
        status: of the process: 2 where what was asked for does not go together, 1 where it failed.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Tally:
    """What battles came to so far; their names are those that a progress bar asks for."""

    battles: int = 0
    won: int = 0
    drawn: int = 0
    turns: int = 0
    decisions: int = 0
    refused: int = 0
    seconds: float = 0.0
    dropped: int = 0
    last_fault: str = ""
    given_up: list[str] = field(default_factory=list)

    def add(self, played: Any) -> None:
        """Count a battle, a `poke.envs.showdown.server.arena.Played`."""
        self.battles += 1
        self.won += played.outcome > 0
        self.drawn += played.outcome == 0
        self.turns += played.turns
        self.decisions += played.decisions
        self.refused += played.refused
        self.seconds += played.seconds
        if played.fault is not None:
            self.given_up.append(_said(played.fault))

    def drop(self, fault: Exception) -> None:
        """Take note of a battle that does not count.

        Raises:
            ShowdownError: there are too many of them.
        """
        self.dropped += 1
        self.last_fault = _said(fault)
        if self.dropped > 10 + self.battles // 20:
            raise ShowdownError(f"too many battles break: {self.last_fault}")


def play(
    run: str,
    *,
    opponent: str,
    battles: int,
    format: str | None,
    concurrency: int,
    seed: int,
    checkpoint: str = "best",
    trust: Sequence[str] = (),
) -> int:
    """Play battles on a server of its own, print what they came to, and return the exit status: 0, or 128 + N after
    signal N, when what was played so far is printed.

    Args:
        run: as `poke.load` takes it.
        opponent: one of poke-env's players.
        battles: how many; the two challenge in turn.
        format: such as ``gen1randombattle``; None for random battles of the policy's generation.
        concurrency: battles at a time.
        seed: of the opponent's random choices.
        checkpoint: as of `poke.load`.
        trust: as of `poke.load`.

    Raises:
        PlayingError: it failed, or cannot be.
    """
    try:
        policy = load(run, checkpoint=checkpoint, trust=trust)
        battle_format = _format_for(policy, run, format)
        if format is not None:
            _check_format(format)
    except BattleError as error:  # what playing needs is not there
        raise PlayingError(str(error), 1) from error
    except ValueError as error:
        raise PlayingError(str(error), 2) from error
    tally = Tally()
    try:
        with shown(battles) as show:
            status = _played(
                policy, battle_format, opponent, battles, concurrency, seed, tally, show
            )
    except ImportError as error:
        raise PlayingError(
            f"playing needs {error.name}: pip install 'poke[showdown]'", 1
        ) from error
    except (ShowdownError, ValueError, OSError) as error:
        if tally.battles:
            _print(run, opponent, battle_format, tally)
        raise PlayingError(" ".join(str(error).split()), 1) from error
    _print(run, opponent, battle_format, tally)
    return status


def _played(
    policy: Policy,
    battle_format: str,
    opponent: str,
    battles: int,
    concurrency: int,
    seed: int,
    tally: Tally,
    show: Callable[[Any], None],
) -> int:
    from poke.envs.showdown.server import arena  # brings poke-env

    def on_result(played: arena.Played) -> None:
        tally.add(played)
        show(tally)

    async def run(url: str) -> None:
        setting = arena.Setting(url, battle_format, opponent, policy, concurrency, seed)
        playing = asyncio.create_task(
            arena.play(setting, battles, on_result=on_result, on_drop=tally.drop)
        )
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(playing.cancel))
        if seen:
            playing.cancel()
        await playing

    stop: list[Callable[[], Any]] = []
    with stops(lambda: [ask() for ask in stop]) as seen:
        show(tally)
        try:
            with ShowdownServer() as server:
                asyncio.run(run(server.websocket_url))
        except asyncio.CancelledError:
            if not seen:
                raise
    return 128 + seen[0] if seen else 0


def _format_for(policy: Policy, run: str, asked: str | None) -> str:
    """Return the format to be played.

    Raises:
        ValueError: the policy does not play it.
    """
    seen = policy.observation_space
    generation = (seen.layout or {}).get("generation", 1)
    battle_format = asked or f"gen{generation}randombattle"
    why = misfit(seen, policy.action_space, *spaces(battle_format))
    if why:
        raise ValueError(f"{run} {why}")
    return battle_format


def _check_format(battle_format: str) -> None:
    """Refuse what a server would not answer.

    Raises:
        FormatError: the format is not played, or has no teams of its own.
        BattleError: node or the package is missing.
    """
    try:
        open_workers(battle_format, 1, 1).close()
    except FormatError as error:
        if "file of teams" not in str(error):
            raise
        raise FormatError(f"{error}, and poke.play has none: it plays what draws teams") from None


def _print(run: str, opponent: str, battle_format: str, tally: Tally) -> None:
    for line in _report(run, opponent, battle_format, tally):
        print(line, flush=True)


def _report(run: str, opponent: str, battle_format: str, tally: Tally) -> list[str]:
    played = tally.battles
    if not played:
        return ["no battle was played"]
    low, high = wilson(tally.won, played)
    lines = [
        f"{run} against {opponent} in {battle_format}: won {tally.won} of {played}, {100 * tally.won / played:.1f} % "
        f"[{100 * low:.1f}, {100 * high:.1f}], {tally.drawn} drawn",
        f"{tally.turns / played:.1f} turns a battle, {tally.refused} choices refused, "
        f"{tally.seconds / max(1, tally.decisions):.4f} seconds a decision",
    ]
    if tally.given_up:
        lines.append(f"{len(tally.given_up)} of them given up (last: {tally.given_up[-1]})")
    if tally.dropped:
        lines.append(f"{tally.dropped} battles more do not count (last: {tally.last_fault})")
    return lines


def _said(fault: Exception) -> str:
    return f"{type(fault).__name__}: {' '.join(str(fault).split())}"
