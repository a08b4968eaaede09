"""How conservative Q-learning learns of numbers; see `poke.algorithms.offline.cql`.

Critics that do not believe in what the data never tried, and a soft actor that they judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poke.algorithms.descent import Descent, frozen
from poke.algorithms.off_policy.sac import Temperature, log_slope
from poke.algorithms.values.critics import ActionCritics, Follower, Judging, judged
from poke.algorithms.values.learning import weighted_mean
from poke.data.experience import Transitions
from poke.policies.distributions import StateGaussian
from poke.policies.policy import Policy


class NumberLearner:
    """Makes the steps of CQL of numbers, by draws of actions.

    Args:
        policy: is trained; a squashed `StateGaussian`.
        critics: judge its actions.
        judging: what they are.
        device: where all of it is.
        seed: of draws.
        lr: Adam's learning rate of critics and temperature.
        policy_lr: of the policy.
        alpha: how much weight being conservative has.
        num_samples: actions drawn of each kind for a logsumexp.
        temperature: what entropy counts beside values, at first; it moves to where the entropy is -1 a number.
        reward_scale: rewards are multiplied by this.
        descent: the other arguments of `Descent`.
    """

    def __init__(
        self,
        policy: Policy,
        critics: ActionCritics,
        judging: Judging,
        device: torch.device,
        *,
        seed: int,
        lr: float,
        policy_lr: float,
        alpha: float,
        num_samples: int,
        temperature: float,
        reward_scale: float,
        descent: Mapping[str, Any],
    ) -> None:
        self._policy = policy
        self._critics = critics
        self._heads = critics.heads
        self._target = Follower(critics)
        self._rate = judging.target_rate
        self._alpha = alpha
        self._num_samples = num_samples
        self._reward_scale = reward_scale
        self._size = policy.action_space.num_outputs
        self._temperature = Temperature(temperature).to(device)
        moving: dict[str, nn.Module] = {
            "policy": policy.network,
            "critics": critics,
            "temperature": self._temperature,
        }
        rates = {"policy": policy_lr, "critics": lr, "temperature": lr}
        self.descent = Descent(moving, lr=rates, **descent)
        self.networks = {"critics": critics, "temperature": self._temperature}
        self.followers = {"critics": self._target}
        self._ranks = descent["ranks"]
        self._noise = torch.Generator().manual_seed(seed)

    def step(self, part: Transitions) -> tuple[dict[str, Tensor], Tensor]:
        """Make a gradient step; return metrics and `[batch]` absolute errors."""
        heads = self._heads
        target = self._aim(part)
        said = self._critics.of(part.observation, part.action)
        critic_loss = heads.loss(said, target.expand(len(said), -1, -1)).sum(dim=0).mean(dim=1)
        values = heads.read(said)
        conservative = (self._soft_maximum(part.observation) - values).sum(dim=0).mean(dim=1)
        conservative_loss = weighted_mean(conservative, part.weight)
        # The policy, and how much its entropy counts: as soft actor-critic, see `poke.algorithms.off_policy.sac`.
        action, density = self._draw(self._policy.network(part.observation)[0])
        with frozen(self._critics):
            judged = heads.read(self._critics.of_encoded(part.observation, action)).amin(dim=0)
        temperature = self._temperature.value().detach()
        surplus = (self._size - density.detach()).mean()
        told = self.descent.step(
            {
                "critic_loss": weighted_mean(critic_loss, part.weight),
                "conservative_loss": self._alpha * conservative_loss,
                "policy_loss": weighted_mean(temperature * density - judged[:, 0], part.weight),
                "temperature_loss": self._temperature.log_alpha[0] * surplus,
            }
        )
        self._target.follow(self.descent.flat["critics"], self._rate)
        own = values.detach()[..., 0]
        told |= {"conservative_loss": conservative_loss.detach(), "q": own.mean()}
        told |= {"temperature": temperature, "entropy": -density.detach().mean()}
        return told, (own - target[:, 0]).abs().mean(dim=0)

    @torch.no_grad()
    def judge(self, part: Transitions) -> tuple[Tensor | None, Tensor]:
        """Return nothing of all actions, and how far the one done is from its target, `[batch]`.

        Draws what a step would draw, and gives it back.
        """
        kept = self._noise.get_state()
        found = judged(self._critics, part, self._aim)
        self._noise.set_state(kept)
        return found

    def get_state(self) -> dict[str, Any]:
        """Return what is drawn from."""
        return {"noise": self._noise.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._noise.set_state(state["noise"])

    @torch.no_grad()
    def _aim(self, part: Transitions) -> Tensor:
        """Return the targets, `[batch, factors]`: rewards, and what an action of the policy's is worth next."""
        action, _ = self._draw(self._policy.network(part.next_observation)[0])
        outputs = self._target.network.of_encoded(part.next_observation, action)
        after = self._heads.read(outputs).amin(dim=0)
        rewards, discount = part.bridge(self._heads.gammas, self._reward_scale)
        return rewards + discount * after

    def _soft_maximum(self, observation: Tensor) -> Tensor:
        """Return the logarithm of the integral of `exp Q` over actions, `[critics, batch, factors]`.

        By importance sampling, Kumar et al., appendix F: half of the actions are drawn uniformly, half from the policy,
        and each counts by the inverse of its density.
        """
        count, batch = self._num_samples, len(observation)
        with torch.no_grad():
            uniform = self._noise_for(batch, torch.rand, count) * 2 - 1
            outputs = self._policy.network(observation)[0].repeat(count, 1)
            drawn, density = self._draw(outputs, count)
            action = torch.cat([uniform.to(drawn.device), drawn])
            densities = torch.cat([torch.full_like(density, -self._size * math.log(2)), density])
        outputs = self._critics.of_encoded(
            observation.repeat(2 * count, *[1] * (observation.dim() - 1)), action
        )
        weighted = self._heads.read(outputs) - densities.unsqueeze(1)
        each = weighted.unflatten(1, (2 * count, batch))
        return each.logsumexp(dim=1) - math.log(2 * count)

    def _draw(self, outputs: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
        """Return actions between -1 and 1 that gradients lead through, `[batch, size]`, and their log-densities.

        Args:
            outputs: the policy's, `[count * batch, ...]`.
            count: how often the batch stands there.
        """
        distribution = self._policy.distribution
        assert isinstance(distribution, StateGaussian)
        batch = len(outputs) // count
        noise = self._noise_for(batch, torch.randn, count).to(outputs.device)
        own, log_prob = distribution.rsample(outputs, noise)
        return torch.tanh(own), log_prob - log_slope(own)

    def _noise_for(self, batch: int, draw: Callable[..., Tensor], count: int) -> Tensor:
        """Return what is drawn for each of `batch` rows `count` times, `[count * batch, size]`."""
        whole = draw(count, batch * self._ranks.size, self._size, generator=self._noise)
        return self._ranks.share(whole, axis=1).reshape(-1, self._size)
