"""A league: players of the past, met the more often the less surely they are beaten.

Prioritised fictitious self-play, after Vinyals et al., "Grandmaster level in StarCraft II using multi-agent
reinforcement learning", Nature 2019, methods: member i is met with a chance proportional to f(p), where p is the
learner's chance to beat it, by ``hard``, f = (1 - p)^2, or ``variance``, f = p (1 - p).

Deliberate deviations: there is one learner and no exploiters; old results fade, since the learner changes, and the
paper's are of the latest; a pool of bounded size loses the member that is most surely beaten.

Ratings are Elo's (Elo, "The Rating of Chessplayers, Past and Present", 1978), moved by `_ELO_STEP` times the surprise
of each battle against a member. A snapshot enters with the learner's rating of that moment and keeps it; those of named
players move the other way. They mean something within a run only: everybody begins at 1,000.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_FADE = 0.98  # what is left of a result after each later one against the same member: half after 34
_ELO_START = 1000.0
_ELO_SCALE = 400.0  # ten times the chance
_ELO_STEP = 4.0


@dataclass
class Member:
    """One that may be met.

    Args:
        won: battles that the learner won against it, ties by half, faded.
        played: against it, faded likewise.
        rating: Elo's.
        born: how many decisions the learner had made when this was it; None of others.
    """

    won: float = 0.0
    played: float = 0.0
    rating: float = _ELO_START
    born: int | None = None

    @property
    def win_rate(self) -> float:
        """The learner's chance to beat it, one half where nothing is known."""
        return (self.won + 1) / (self.played + 2)


class League:
    """Past policies of the learner and named players, whose results decide who is met.

    Args:
        named: players that are always members.
        snapshot_every: decisions of the learner between one past policy and the next.
        max_snapshots: past policies that are kept.
        weighting: as of the module.
        copy_policy: makes a policy of a policy's state.
    """

    def __init__(
        self,
        *,
        named: Sequence[str] = (),
        snapshot_every: int,
        max_snapshots: int,
        weighting: str,
        copy_policy: Callable[[Mapping[str, Any]], Any],
    ) -> None:
        self.named = list(named)
        self._snapshot_every = snapshot_every
        self._max_snapshots = max_snapshots
        self._weighting = weighting
        self._copy_policy = copy_policy
        self._members = {name: Member() for name in named}
        self._snapshots: dict[str, Mapping[str, Any]] = {}  # states of policies
        self._policies: dict[str, Any] = {}  # made of those that have been met
        self._learner: Any = None
        self._num_steps = 0
        self._rating = _ELO_START

    def attach(self, policy: Any) -> None:
        """Take note of the learner's policy, which snapshots are taken of."""
        self._learner = policy

    def is_snapshot(self, name: str) -> bool:
        """Whether a name is one of the past policies'."""
        return name in self._snapshots

    def draw(self, generator: np.random.Generator) -> str | None:
        """Return a member; None while there is none."""
        if not self._members:
            return None
        p = np.array([member.win_rate for member in self._members.values()])
        weights = (1 - p) ** 2 if self._weighting == "hard" else p * (1 - p)
        return str(generator.choice(list(self._members), p=weights / weights.sum()))

    def policy(self, name: str) -> Any:
        """Return a past policy."""
        if name not in self._policies:
            self._policies[name] = self._copy_policy(self._snapshots[name])
        return self._policies[name]

    def result(self, name: str, outcome: float) -> None:
        """Take note of a battle's outcome, 1 where the learner won, -1 where it lost; of others' nothing is kept."""
        member = self._members.get(name)
        if member is None:
            return
        score = (1 + outcome) / 2
        member.won = member.won * _FADE + score
        member.played = member.played * _FADE + 1
        expected = 1 / (1 + 10 ** ((member.rating - self._rating) / _ELO_SCALE))
        change = _ELO_STEP * (score - expected)
        self._rating += change
        if member.born is None:
            member.rating -= change

    def learned(self, num_steps: int, in_play: set[str]) -> None:
        """Take note of more decisions of the learner, and take a snapshot where one is due.

        Args:
            num_steps: decisions.
            in_play: who is being met; these are not dropped.
        """
        before = self._num_steps // self._snapshot_every
        self._num_steps += num_steps
        if self._num_steps // self._snapshot_every == before or self._learner is None:
            return
        name = f"past {self._num_steps}"
        self._snapshots[name] = _copied(self._learner.get_state())
        self._members[name] = Member(rating=self._rating, born=self._num_steps)
        self._drop(in_play | {name})

    @property
    def metrics(self) -> dict[str, float]:
        """The learner's rating, the mean of its chances, and how many members there are."""
        rates = [member.win_rate for member in self._members.values()]
        known = {"league/elo": self._rating, "league/members": float(len(rates))}
        return known | ({"league/win_rate": float(np.mean(rates))} if rates else {})

    def get_state(self) -> dict[str, Any]:
        """Return members with their results, and the weights of past policies."""
        return {
            "members": {name: asdict(member) for name, member in self._members.items()},
            "snapshots": dict(self._snapshots),
            "num_steps": self._num_steps,
            "rating": self._rating,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned; named players are those of this league."""
        self._snapshots = dict(state["snapshots"])
        known = {name: Member(**values) for name, values in state["members"].items()}
        self._members = {name: known.pop(name, Member()) for name in self.named}
        self._members |= {n: member for n, member in known.items() if n in self._snapshots}
        self._policies = {}
        self._num_steps = state["num_steps"]
        self._rating = state["rating"]

    def _drop(self, kept: set[str]) -> None:
        """Let the members go that are most surely beaten, until there are not too many."""
        while len(self._snapshots) > self._max_snapshots:
            idle = [name for name in self._snapshots if name not in kept]
            if not idle:
                return
            surest = max(idle, key=lambda name: self._members[name].win_rate)
            for known in (self._snapshots, self._members, self._policies):
                known.pop(surest, None)


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy's state apart from the policy, each weight in memory of its own."""
    weights = {name: weight.detach().cpu().clone() for name, weight in state["network"].items()}
    return {**copy.deepcopy({k: v for k, v in state.items() if k != "network"}), "network": weights}
