"""Play a league's battles on the workers, two players after the other."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poke.envs.showdown.battles.environment import open_workers, spaces
from poke.envs.showdown.battles.matches import ScriptedPlan, Tally, play_all
from poke.envs.showdown.battles.opponents import Opponents
from poke.envs.showdown.battles.plans import Plan
from poke.envs.showdown.battles.tables import Tables
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.names import BattleError, is_run, label
from poke.envs.showdown.pipes.workers import BattleWorkers, battle_seeds
from poke.policies.loading import build_saved, read
from poke.run.afterwards.league.page import page
from poke.run.afterwards.league.results import Row, read_rows, write_rows
from poke.run.afterwards.league.standings import standings, text
from poke.run.afterwards.playing.players import PlayingError, check_fit, format_for, one_line
from poke.run.afterwards.progress import shown
from poke.run.afterwards.stopping import stops
from poke.run.device import limit_threads
from poke.run.files import write_text

CSV, PAGE = "league.csv", "league.html"
_BATTLES_A_ROW = 100  # what an interruption costs at most
_NUM_TABLES = 64
_ID_LETTERS = 12


class _Stopped(Exception):
    """A signal has come."""


@dataclass
class _Progress:
    """What a progress bar asks for."""

    battles: int = 0
    decisions: int | None = None  # not counted
    dropped: int = 0
    last_fault: str = ""


@dataclass(frozen=True)
class _Player:
    """One of a league.

    Args:
        name: in tables.
        place: scripted player or run.
        identity: of its file.
        policy: None of a scripted player.
    """

    name: str
    place: str
    identity: str
    policy: Any


def play_league(
    runs: Sequence[str],
    *,
    battles: int,
    out: str,
    format: str | None,
    teams: str | None,
    seed: int,
    workers: int,
    checkpoint: str = "best",
    trust: Sequence[str] = (),
) -> int:
    """Let everyone play everyone, print the table, write it, and return the exit status: 0, or 128 + N after signal N.

    Battle n has the same dice and teams whoever plays it, and the first of the two sits in either seat in turn. What is
    finished stands in the folder; the same command goes on from there, and one with more players plays theirs alone.

    Args:
        runs: as `poke.load` takes them, and names of scripted players.
        battles: of each two.
        out: folder of ``league.csv`` and ``league.html``.
        format: such as ``gen1randombattle``; None for random battles of the first run's generation.
        teams: a file of teams, for a format that needs them.
        seed: of the battles.
        workers: processes that play.
        checkpoint: as of `poke.load`.
        trust: as of `poke.load`.

    Raises:
        PlayingError: it failed, or cannot be.
    """
    try:
        players = _players(runs, checkpoint, trust)
        policies = [player.policy for player in players if player.policy is not None]
        if not policies and format is None:
            raise ValueError("nobody here is a run: add --format FORMAT")
        battle_format = format or format_for(policies[0], None)
        for player in players:
            if player.policy is not None:
                check_fit(player.place, player.policy, battle_format)
        opened = open_workers(battle_format, _NUM_TABLES, workers, teams=teams)
    except BattleError as error:
        raise PlayingError(one_line(error), 1) from error
    except ValueError as error:
        raise PlayingError(one_line(error), 2) from error
    with closing(opened):
        league = _League(players, battles, battle_format, _fingerprint(teams), seed, Path(out))
        try:
            return league.play(opened)
        except (ShowdownError, ValueError, OSError) as error:
            raise PlayingError(one_line(error), 1) from error


class _League:
    """The battles of everyone against everyone, and those of them that have been played.

    Args:
        players: who.
        battles: of each two.
        battle_format, teams, seed: as of `results.Row`.
        folder: where results are.
    """

    def __init__(
        self,
        players: Sequence[_Player],
        battles: int,
        battle_format: str,
        teams: str,
        seed: int,
        folder: Path,
    ) -> None:
        self._players = {player.name: player for player in players}
        self._format, self._teams, self._seed = battle_format, teams, seed
        self._folder = folder
        self._total = 0  # battles, known ones and those to be played
        self._wanted = battles

    def play(self, workers: BattleWorkers) -> int:
        """Play what has not been played, and return the exit status.

        Raises:
            ShowdownError: a battle was lost again and again.
            ValueError: the folder's file is no league's.
            OSError: results cannot be read or written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_rows(self._folder / CSV) if not self._is_stale(row)]
        done, left = self._plan_rows({row.begin: row for row in kept})
        progress = _Progress(sum(row.battles for row in done))
        self._total = progress.battles + sum(row.battles for row in left)
        if done:
            print(f"{progress.battles} of {self._total} battles are known already", file=sys.stderr)
        with stops(lambda: None) as seen, shown(self._total) as show:
            show(progress)
            try:
                for row in left:
                    done.append(self._played(row, workers, progress, show, seen))
                    kept.append(done[-1])
                    write_rows(self._folder / CSV, kept)
            except _Stopped:
                self._tell(done)
                print("stopped; what is finished is kept: the same command goes on from there")
                return 128 + seen[0]
            except (ShowdownError, OSError):
                if done:
                    print(self._table(done))
                raise
        self._tell(done)
        return 0

    def _plan_rows(self, known: Mapping[tuple[object, ...], Row]) -> tuple[list[Row], list[Row]]:
        """Return rows that have been played, and those that are to be: together as many battles as are wanted, or more.

        Each two have theirs in the order of their names, so that the order of a command does not matter.
        """
        done: list[Row] = []
        left: list[Row] = []
        players = sorted(self._players.values(), key=lambda player: player.name)
        for first, second in itertools.combinations(players, 2):
            start = 0
            while start < self._wanted:
                number = min(_BATTLES_A_ROW, self._wanted - start)
                row = self._row(first, second, start, number)
                found = known.get(row.begin)
                (left if found is None else done).append(found or row)
                start += (found or row).battles
        return done, left

    def _is_stale(self, row: Row) -> bool:
        """Whether one of a row's players has changed since."""
        both = ((row.first, row.first_is), (row.second, row.second_is))
        return any(
            name in self._players and self._players[name].identity != identity
            for name, identity in both
        )

    def _row(self, first: _Player, second: _Player, start: int, battles: int) -> Row:
        who = (first.name, second.name, first.identity, second.identity)
        what = (self._format, self._teams, self._seed)
        return Row(*who, *what, start, battles, 0, 0, 0, 0, 0)

    def _played(
        self,
        row: Row,
        workers: BattleWorkers,
        progress: _Progress,
        show: Callable[[Any], None],
        seen: Sequence[int],
    ) -> Row:
        """Play a row's battles, and return it with what they came to.

        Raises:
            _Stopped: a signal has come.
            ShowdownError: a battle was lost again and again.
        """
        first, second = self._players[row.first], self._players[row.second]
        # Who learns has its decisions asked for in the arrays; a scripted player's are made in the worker.
        turned = first.policy is None and second.policy is not None
        own, other = (second, first) if turned else (first, second)
        tally = Tally()

        def on_end(outcome: int, turns: int, refused: int) -> None:
            if seen:
                raise _Stopped
            tally.add(outcome, turns, refused)
            progress.battles += 1
            show(progress)

        opponents = _opponents(other, self._format, workers.num_battles)
        tables = Tables(workers, opponents[1], opponents[0])
        numbers = range(row.start, row.start + row.battles)
        plans = [self._plan(own, other, n, turned) for n in numbers]
        try:
            play_all(tables, plans, own.policy, on_end=on_end)
        except _Stopped:
            progress.battles -= tally.battles
            raise
        lost = tally.battles - tally.won - tally.drawn
        won, lost = (lost, tally.won) if turned else (tally.won, lost)
        return replace(
            row, won=won, drawn=tally.drawn, lost=lost, turns=tally.turns, refused=tally.refused
        )

    def _plan(self, own: _Player, other: _Player, number: int, turned: bool) -> Plan:
        """Return a battle's plan: the first of the two sits in seat 0 in even battles."""
        seeds, seat = battle_seeds(self._seed, number), (number + turned) % 2
        if own.policy is None:
            return ScriptedPlan(seeds, seat, other.place, own.place)
        return Plan(seeds, seat, other.place)

    def _table(self, rows: Sequence[Row]) -> str:
        table = standings(rows, list(self._players), seed=self._seed)
        return text(table, min(shutil.get_terminal_size().columns, 120))

    def _tell(self, rows: Sequence[Row]) -> None:
        """Print the table of what has been played, and write the page."""
        if not rows:
            print("no battle was played")
            return
        print(self._table(rows))
        table = standings(rows, list(self._players), seed=self._seed)
        played = sum(row.battles for row in rows)
        about = f"{self._format}, {played} of {self._total} battles, seed {self._seed}"
        title = f"League of {len(self._players)} players"
        write_text(self._folder / PAGE, page(table, title=title, about=about))
        print(f"{self._folder / CSV} and {self._folder / PAGE} hold it")


def _opponents(player: _Player, battle_format: str, num_tables: int) -> tuple[Opponents, int]:
    """Return who is met, and the number of actions of the format."""
    seen, actions = spaces(battle_format)
    met = Opponents(
        {player.place: 1.0},
        observation_space=seen,
        action_space=actions,
        load=lambda place: player.policy,
        league=None,
        num_tables=num_tables,
        explore=False,
    )
    return met, actions.sizes[0]


def _players(runs: Sequence[str], checkpoint: str, trust: Sequence[str]) -> list[_Player]:
    """Return who plays.

    Raises:
        ValueError: one is there twice, or a run cannot be loaded.
    """
    twice = [run for run, count in _counts(runs).items() if count > 1]
    if twice or len(runs) < 2:
        raise ValueError(
            f"{twice[0]} would play itself" if twice else "a league has at least two players"
        )
    labels = _counts([label(run) for run in runs])
    return [
        _player(run, label(run) if labels[label(run)] == 1 else run, checkpoint, trust)
        for run in runs
    ]


def _player(run: str, name: str, checkpoint: str, trust: Sequence[str]) -> _Player:
    if not is_run(run):
        return _Player(name, run, run, None)
    limit_threads(1)
    saved = read(run, checkpoint=checkpoint)
    return _Player(name, run, _fingerprint(saved.file), build_saved(saved, trust=trust))


def _counts(names: Sequence[str]) -> Mapping[str, int]:
    return {name: list(names).count(name) for name in names}


def _fingerprint(file: str | Path | None) -> str:
    """Return a few letters that are another file's as good as never, '' of none."""
    if file is None:
        return ""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:_ID_LETTERS]
