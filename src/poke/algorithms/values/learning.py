"""What an algorithm learns besides its policy, and how an update goes through its minibatches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from poke.algorithms.descent import Descent
from poke.algorithms.values.critics import Follower
from poke.data.experience import Experience, Transitions
from poke.policies.policy import Policy
from poke.protocols import NonFiniteError

# Makes one gradient step; returns metrics, 0-dim, and `[batch]` absolute temporal-difference errors.
Step = Callable[[Transitions], tuple[Mapping[str, Tensor], Tensor]]


class Learning:
    """Networks that are no part of the policy, the copies that follow, and the descent of all of them.

    Args:
        policy: is in train mode while an update lasts.
        descent: of the policy's network and the others.
        networks: the others, by name.
        followers: by name.
    """

    def __init__(
        self,
        policy: Policy,
        descent: Descent,
        *,
        networks: Mapping[str, nn.Module],
        followers: Mapping[str, Follower],
    ) -> None:
        self._policy = policy
        self._descent = descent
        self._networks = networks
        self._followers = followers

    def run(self, experience: Experience, step: Step) -> dict[str, Tensor | float]:
        """Make a gradient step of each minibatch.

        Args:
            experience: is gone through, and told how wrong the algorithm was.
            step: makes one.

        Returns:
            The means of what the steps tell, and what the experience tells besides.

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before all of them.
        """
        # A single step leaves everything alone if it fails: only several need a way back.
        kept = [t.clone() for t in self._tensors()] if experience.num_minibatches > 1 else None
        num_steps = self._descent.num_steps
        sums: dict[str, Tensor] = {}
        count = 0
        self._policy.network.train()
        try:
            for part in experience.minibatches:
                told, error = step(part)
                experience.tell(part, error)
                count += 1
                sums = {n: value + sums[n] if n in sums else value for n, value in told.items()}
        except NonFiniteError:
            self._descent.num_steps = num_steps
            for tensor, copy in zip(self._tensors(), kept or (), strict=False):
                tensor.copy_(copy)
            raise
        finally:
            self._policy.network.eval()
        means = {name: value / count for name, value in sums.items()} if count > 1 else sums
        return {**means, **experience.metrics}

    def get_state(self) -> dict[str, Any]:
        """Return everything but the policy."""
        return {
            **self._descent.get_state(),
            "networks": {name: network.state_dict() for name, network in self._networks.items()},
            "followers": {
                n: follower.network.state_dict() for n, follower in self._followers.items()
            },
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._descent.set_state(state)
        for name, network in self._networks.items():
            network.load_state_dict(state["networks"][name])
        for name, follower in self._followers.items():
            follower.network.load_state_dict(state["followers"][name])

    def _tensors(self) -> list[Tensor]:
        followers = [t for follower in self._followers.values() for t in follower.tensors()]
        # What the optimizer gathers comes last: it is not there before the first step.
        return [*followers, *self._descent.tensors()]


def refuse_memory(policy: Policy, name: str) -> None:
    """Raise ValueError if a policy has a memory.

    Args:
        policy: of the configured network.
        name: of the algorithm, as users know it.
    """
    if policy.network.state_size:
        raise ValueError(f"algo={name} learns from single decisions: leave out network.memory")


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Return the mean of `[..., batch]` losses, each transition's multiplied by its `[batch]` weight."""
    return losses.mean() if weight is None else (losses * weight).mean()
