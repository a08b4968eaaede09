"""Deep Q-learning, of one choice: the policy is the network of action values, greedy.

Mnih et al., "Human-level Control through Deep Reinforcement Learning", Nature 2015. By switches: double Q-learning (van
Hasselt et al., AAAI 2016), dueling networks (Wang et al., ICML 2016); with `data.n_step` multi-step returns (Sutton
1988; Hessel et al., "Rainbow", AAAI 2018) and with `data.alpha` prioritised replay (Schaul et al., ICLR 2016); values
as distributions (C51: Bellemare et al., ICML 2017), noisy networks (Fortunato et al., ICLR 2018). All of them at once
are Rainbow.

Deliberate deviations:
- Illegal actions are left out of every maximum, of what is drawn while exploring, and of the mean that dueling networks
  take away.
- The error is not clipped to 1, the loss is linear beyond 1 (Huber), as is usual since.
- The target network may follow slowly (`target_rate` below 1) in place of being taken over now and then.
- Asked to explore, the policy that others load draws by a softmax of action values, as policies of choices do; training
  explores by `epsilon`.
- Noise is drawn once for each network that a minibatch goes through, as in Fortunato et al., section 3.1, and once for
  each decision of all environments together. What others load, judge or evaluate acts without noise.
- Where values are distributions, a transition's priority is what its distribution still lacks (as Rainbow has it); what
  `eval=values` measures is the error of its mean.
- It learns from recorded transitions too, as a baseline: nothing keeps it near what was recorded, see `algo=cql`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poke.algorithms.descent import Descent
from poke.algorithms.off_policy.numpy_q import NumpyQ
from poke.algorithms.values.critics import Follower
from poke.algorithms.values.heads import Heads
from poke.algorithms.values.learning import Learning, refuse_memory, weighted_mean
from poke.algorithms.values.masked import chosen, legal_argmax, legal_mean
from poke.algorithms.values.projection import cross_entropy, divergence, project
from poke.data.experience import Experience, Transitions
from poke.distributed.ranks import ALONE, Ranks
from poke.networks.actor_critic import ActorCritic
from poke.networks.noisy import Noise
from poke.policies.policy import Policy


class DQN:
    """Algorithm: DQN, on a replay buffer or recorded transitions.

    Args:
        make_policy: makes a policy for what the source has.
        device: where its network is.
        seed: of exploration.
        lr: Adam's learning rate.
        lr_schedule: constant, or linear or cosine to 0.
        schedule_steps: gradient steps after which it reaches 0.
        max_grad_norm: global norm to clip at; 0: no clipping.
        gamma: discount factor.
        reward_scale: rewards are multiplied by this.
        double: what is best next is chosen by the network that learns, and judged by its target.
        dueling: the network puts out a state's value and actions' advantages.
        atoms: how many returns an action's value is a distribution over; 0: it is a number.
        low: the least of these returns, `reward_scale` included.
        high: the greatest.
        noisy: the network is noisy while it explores and learns; nothing is drawn by `epsilon`.
        target_every: gradient steps between moves of the target network.
        target_rate: by how much it moves then; 1: it is taken over.
        epsilon_start: share of actions that are drawn at first.
        epsilon_end: at last.
        epsilon_steps: transitions between the two.
        fast_path: small networks on the CPU are computed in numpy, forwards and backwards; false for torch always.
        ranks: the processes that learn together.

    Raises:
        ValueError: the policy has a memory, or actions are not one choice.
    """

    def __init__(
        self,
        make_policy: Callable[..., Policy],
        device: torch.device,
        *,
        lr: float,
        gamma: float,
        double: bool = True,
        dueling: bool = False,
        atoms: int = 0,
        low: float = -10.0,
        high: float = 10.0,
        noisy: bool = False,
        target_every: int = 1,
        target_rate: float = 0.005,
        epsilon_start: float = 1.0,
        epsilon_end: float = 0.05,
        epsilon_steps: int = 1,
        lr_schedule: str = "constant",
        schedule_steps: int = 1,
        max_grad_norm: float = 0.0,
        reward_scale: float = 1.0,
        fast_path: bool = True,
        seed: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        self.policy = make_policy(
            critic="shared" if dueling else "none",
            atoms={"num": atoms, "low": low, "high": high} if atoms else None,
            noisy=noisy,
        )
        refuse_memory(self.policy, "dqn")
        refuse_all_but_one_choice(self.policy, "dqn")
        self.double = double
        self.noisy = noisy
        self.reward_scale = reward_scale
        self.target_every = target_every
        self.target_rate = target_rate
        self.epsilon_start = epsilon_start
        self.epsilon_end = epsilon_end
        self.epsilon_steps = epsilon_steps
        self.num_steps = 0
        self._heads = Heads([gamma], loss="huber").to(device)
        self._target = Follower(self.policy.network)
        self._descent = Descent(
            {"policy": self.policy.network},
            lr={"policy": lr},
            max_grad_norm=max_grad_norm,
            schedule=lr_schedule,
            schedule_steps=schedule_steps,
            ranks=ranks,
        )
        self._learning = Learning(
            self.policy, self._descent, networks={}, followers={"policy": self._target}
        )
        self._ranks = ranks
        self._generator = np.random.default_rng([seed, 3])
        self._drawing = torch.Generator().manual_seed(seed)
        self._noise = Noise(self.policy.network, self._drawing)
        self._target_noise = Noise(self._target.network, self._drawing)
        self._by_numpy: NumpyQ | None = None
        if not fast_path:
            self.policy.use_torch()
        elif NumpyQ.supports(self.policy.network):
            self._by_numpy = NumpyQ(
                self.policy.network,
                self._target.network,
                gamma=gamma,
                reward_scale=reward_scale,
                double=double,
            )

    @property
    def epsilon(self) -> float:
        """Which share of actions is drawn by now; none where the network is noisy."""
        if self.noisy:
            return 0.0
        progress = min(1.0, self.num_steps / self.epsilon_steps)
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * progress

    def explore(self, observation: np.ndarray, action_mask: np.ndarray | None) -> np.ndarray:
        """Return the best actions, or with a chance of `epsilon` any, as of `poke.protocols.Explorer`."""
        count = len(observation)
        draws = self._ranks.draws(self._generator)
        action = self.policy.action_space.draw(draws, count, action_mask)
        greedy = draws.random(count) >= self.epsilon
        if greedy.any():
            outputs = self._outputs(observation)
            best = self.policy.distribution.mode(outputs, action_mask)
            action = np.where(greedy, best, action)
        return action

    def _outputs(self, observation: np.ndarray) -> np.ndarray:
        """Return what the network puts out for exploring, `[batch, num_outputs]` float32."""
        if not self.noisy:
            return self.policy.infer(observation, judge=False)[0]
        network = self.policy.network
        device = next(network.parameters()).device
        # torch takes neither memory that is not to be written nor strides backwards.
        seen = torch.from_numpy(np.require(observation, requirements=("C", "W"))).to(device)
        with self._noise, torch.no_grad():
            return network(seen)[0].cpu().numpy()

    def update(self, batch: Experience) -> Mapping[str, Tensor | float]:
        """Make a gradient step of each minibatch.

        Returns:
            loss, q (the mean of what was chosen), grad_norm (before clipping), epsilon, and what the source tells; no
            losses while it warms up.

        Raises:
            NonFiniteError: a loss or gradient is not finite; weights and optimizer are as before.
        """
        told = self._learning.run(batch, self._step)
        self.num_steps += batch.num_steps
        return {**told, "epsilon": self.epsilon}

    def judge(self, part: Transitions) -> tuple[Tensor, Tensor]:
        """Return what every action is worth, `[batch, num_actions]`, and how far the one done is from its target."""
        with torch.no_grad():
            values = action_values(self.policy.network, part.observation, part.action_mask)
            target = self._aim(part)
            if (atoms := self.policy.network.atoms) is not None:
                target = target @ atoms.support
            return values, (chosen(values, part.action) - target).abs()

    def get_state(self) -> dict[str, Any]:
        """Return target network, optimizer, clock and generators; the weights are the policy's."""
        return {
            **self._learning.get_state(),
            "num_transitions": self.num_steps,
            "generator": self._generator.bit_generator.state,
            **({"noise": self._drawing.get_state()} if self.noisy else {}),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._learning.set_state(state)
        self.num_steps = state["num_transitions"]
        self._generator.bit_generator.state = state["generator"]
        if self.noisy:
            self._drawing.set_state(state["noise"])

    def _step(self, part: Transitions) -> tuple[dict[str, Tensor], Tensor]:
        if not self._descent.num_steps:
            # The policy may have been given another run's weights since the copy was made.
            self._target.follow(self._descent.flat["policy"], 1.0)
        if self._by_numpy is not None:
            loss, q, error = self._by_numpy.differentiate(part)
            told = self._descent.take({"loss": loss})
        else:
            with self._target_noise, self._noise:
                target = self._aim(part)
            with self._noise:
                said, losses, error = self._compare(part, target)
            told = self._descent.step({"loss": weighted_mean(losses, part.weight)})
            q = said.detach().mean()
        if self._descent.num_steps % self.target_every == 0:
            self._target.follow(self._descent.flat["policy"], self.target_rate)
        return {**told, "q": q}, error

    def _compare(self, part: Transitions, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the actions done are said to be worth, what that costs and how wrong it is, each `[batch]`."""
        network = self.policy.network
        if network.atoms is None:
            values = action_values(network, part.observation, part.action_mask)
            said = chosen(values, part.action)
            error = said - target
            return said, self._heads.error_loss(error), error.detach().abs()
        logits = network.atoms.logits(network(part.observation)[0], part.action_mask)
        # Chosen first: through a softmax of what is said of the illegal its gradients would be NaN where that is.
        log_probs = _of_actions(logits, part.action).log_softmax(dim=1)
        said = log_probs.detach().exp() @ network.atoms.support
        return said, cross_entropy(target, log_probs), divergence(target, log_probs.detach())

    @torch.no_grad()
    def _aim(self, part: Transitions) -> Tensor:
        """Return the targets: rewards, and what the best legal action is worth next.

        Returns:
            `[batch]`, or `[batch, atoms]` where values are distributions.
        """
        seen, mask = part.next_observation, part.next_action_mask
        target = self._target.network
        rewards, discount = part.bridge(self._heads.gammas, self.reward_scale)
        outputs, value = target(seen)
        worth = values_of(target, outputs, value, mask)
        judged = action_values(self.policy.network, seen, mask) if self.double else worth
        best = legal_argmax(judged, mask)
        if target.atoms is None:
            return rewards[:, 0] + discount[:, 0] * chosen(worth, best)
        after = _of_actions(target.atoms.logits(outputs, mask), best).softmax(dim=1)
        return project(target.atoms, after, rewards[:, 0], discount[:, 0])


def _of_actions(logits: Tensor, action: Tensor) -> Tensor:
    """Return the `[batch, atoms]` of actions `[batch] int64` among `[batch, num_actions, atoms]`."""
    return chosen(logits.permute(2, 0, 1), action).T


def action_values(network: ActorCritic, observation: Tensor, action_mask: Tensor | None) -> Tensor:
    """Return what actions are worth, `[batch, num_actions]` float32; of an illegal action it means nothing.

    Args:
        network: of the policy.
        observation: `[batch, *observation_shape]`.
        action_mask: `[batch, num_actions]` bool, true where legal; None where everything is.
    """
    outputs, value = network(observation)
    return values_of(network, outputs, value, action_mask)


def values_of(
    network: ActorCritic, outputs: Tensor, value: Tensor | None, action_mask: Tensor | None
) -> Tensor:
    """Return what actions are worth by what a network puts out.

    That itself; of a dueling one, whose policy's outputs are advantages, `V + A - mean A` over legal actions (Wang et
    al. 2016, equation 9); or the means of distributions.

    Args:
        network: as of `action_values`.
        outputs: what it puts out for the policy.
        value: and for the state.
        action_mask: as of `action_values`.
    """
    if network.atoms is not None:
        return network.atoms.values(outputs, action_mask)
    if value is None:
        return outputs
    return outputs + (value - legal_mean(outputs, action_mask)).unsqueeze(-1)


def refuse_all_but_one_choice(policy: Policy, name: str) -> None:
    """Raise ValueError if a policy's actions are not one choice.

    Args:
        policy: of the configured network.
        name: of the algorithm, as users know it.
    """
    if policy.action_space.kind != "discrete":
        raise ValueError(
            f"algo={name} judges the actions of one choice, and these are {policy.action_space}"
        )
