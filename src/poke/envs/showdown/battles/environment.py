"""Real Pokemon Showdown battles as environments, as a config describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from poke.distributed.ranks import ALONE, Ranks
from poke.envs.showdown import layout
from poke.envs.showdown.battles.league import League
from poke.envs.showdown.battles.opponents import Opponents
from poke.envs.showdown.battles.rewards import Shaping
from poke.envs.showdown.battles.stepping import BattleEnvironments
from poke.envs.showdown.formats import generation
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.names import LEAGUE, SELF, BattleError, shares_of
from poke.envs.showdown.pipes.workers import BattleWorkers
from poke.protocols import EnvironmentDefaults
from poke.spaces import ActionSpace, ObservationSpace


class BattleEnvironment(EnvironmentDefaults):
    """Makes the battles that training plays, and those that evaluation does.

    Args:
        format: a singles format, such as gen1randombattle.
        teams: a file of teams, for a format that needs them; None where the simulator draws them.
        num_envs: battles side by side in training.
        num_workers: processes that play them; changes speed only.
        opponent: a name, or a mapping of names to shares of the battles: random, max_base_power, simple_heuristics;
            ``self``, the policy that learns; ``league``; else the place of a run, as `poke.load` takes it.
        reward: ``win`` (1 won, -1 lost, 0 else, at the end) or ``shaped``, see `poke.envs.showdown.battles.rewards`.
        shaping: scale of the shaped reward's potential.
        accelerate: let exact replacements of the simulator's hot functions play; changes speed only.
        league: of which ``league`` stands, as of `poke.envs.showdown.battles.league.League`: players, snapshot_every,
            max_snapshots, weighting.
        trust: packages whose classes the opponents' policies may name, besides poke's own networks.
        gamma: of the algorithm that learns here; None where it has none.
        load_policy: returns a run's policy.
        copy_policy: returns a policy of a state of the learner's.
        ranks: the processes that share the battles of training; of workers each has its share, but one at least.

    Raises:
        BattleError: there are no such battles, or they cannot be played here.
        ValueError: an opponent's policy cannot be loaded.
    """

    def __init__(
        self,
        format: str,
        *,
        num_envs: int,
        num_workers: int,
        opponent: str | Mapping[str, float],
        teams: str | None = None,
        reward: str = "win",
        shaping: float = 1.0,
        accelerate: bool = True,
        league: Mapping[str, Any] | None = None,
        trust: Sequence[str] = (),
        gamma: float | None = None,
        load_policy: Callable[..., Any],
        copy_policy: Callable[[Mapping[str, Any]], Any],
        ranks: Ranks = ALONE,
    ) -> None:
        self.format = format
        self.teams = teams
        self._ranks = ranks
        self.num_envs = ranks.part(num_envs, "env.num_envs")
        self.num_workers = max(1, num_workers // ranks.size)
        self.accelerate = accelerate
        self.observation_space, self.action_space = spaces(format)
        self._shares = shares_of(opponent)
        self._scale = shaping if reward == "shaped" else 0.0
        self._gamma = 1.0 if gamma is None else gamma
        self._league = dict(league or {}) if LEAGUE in self._shares else None
        self._trust = tuple(trust)
        self._load_policy = load_policy
        self._copy_policy = copy_policy
        self.settings = {
            "format": format,
            "num_envs": num_envs,
            **({"ranks": ranks.size} if ranks.size > 1 else {}),
            "opponent": dict(self._shares),
            "reward": reward,
            **({"shaping": shaping} if reward == "shaped" else {}),
            **({"teams": teams} if teams is not None else {}),
            **({"league": self._league} if self._league is not None else {}),
        }

    def make(self) -> BattleEnvironments:
        """Return the battles of training; reset them first."""
        league = None
        if self._league is not None:
            how = {name: value for name, value in self._league.items() if name != "players"}
            named = self._league["players"]
            league = League(named=named, copy_policy=self._copy_policy, **how)
        shaping = Shaping(self._scale, self._gamma)
        return self._make(
            self.num_envs, self._shares, shaping, league=league, explore=True, ranks=self._ranks
        )

    def make_evaluation(self, num_envs: int, *, render: bool = False) -> BattleEnvironments:
        """Return battles for evaluation, worth their outcome alone; there are no pictures.

        They are against those opponents of training that stay what they are, in their shares, by their most probable
        actions.

        Raises:
            BattleError: there are no such.
        """
        shares = {n: share for n, share in self._shares.items() if n not in (SELF, LEAGUE)}
        if not shares:
            raise BattleError(
                f"{' and '.join(self._shares)} changes with training and measures nothing: "
                "eval=battles plays opponents of its own"
            )
        return self._make(num_envs, shares, Shaping(0.0, 1.0), league=None, explore=False)

    def _make(
        self,
        num_envs: int,
        shares: Mapping[str, float],
        shaping: Shaping,
        *,
        league: League | None,
        explore: bool,
        ranks: Ranks = ALONE,
    ) -> BattleEnvironments:
        opponents = Opponents(
            shares,
            observation_space=self.observation_space,
            action_space=self.action_space,
            load=lambda place: self._load_policy(place, trust=self._trust),
            league=league,
            num_tables=2 * num_envs,
            explore=explore,
        )
        workers = open_workers(
            self.format,
            2 * num_envs,
            self.num_workers,
            accelerate=self.accelerate,
            teams=self.teams,
        )
        return BattleEnvironments(workers, self.action_space, opponents, shaping, ranks)


def spaces(format: str) -> tuple[ObservationSpace, ActionSpace]:
    """Return what is seen in battles of a format, and what is chosen among.

    Raises:
        FormatError: its name is not that of such a format.
    """
    number = generation(format)
    seen = ObservationSpace.box((layout.SIZE,), "int8", layout=layout.describe(number))
    return seen, ActionSpace.discrete(layout.num_actions(number))


def open_workers(format: str, num_battles: int, num_workers: int, **how: Any) -> BattleWorkers:
    """Start workers.

    Raises:
        BattleError: they cannot play this, or what they need is not installed.
    """
    try:
        return BattleWorkers(format, num_battles=num_battles, num_workers=num_workers, **how)
    except ShowdownError as error:
        raise BattleError(str(error)) from error
