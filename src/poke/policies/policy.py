"""A policy: raw observations in, the environment's actions out; and all that this takes, as one state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from poke.networks.actor_critic import ActorCritic
from poke.policies.distributions import distribution_of
from poke.policies.inference import Inference
from poke.spaces import ActionSpace, ObservationNormalizer, ObservationSpace


class PolicyError(ValueError):
    """A policy that cannot be loaded, or asked for what it cannot do; the message is one line."""


class Memory:
    """What a policy with memory carries from one decision to the next; its `act` moves it on, in place.

    Args:
        values: `[batch, state_size]` float32.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def reset(self, rows: Any = slice(None)) -> None:
        """Forget: episodes begin anew.

        Args:
            rows: which of the batch, as numpy indexes; all by default.
        """
        self.values[rows] = 0

    def copy(self, rows: Any = slice(None)) -> Memory:
        """Return what is remembered of episodes, to be moved on apart from this.

        Args:
            rows: as of `reset`.
        """
        return Memory(self.values[rows].copy())


class Choice(NamedTuple):
    """What a policy chose for a batch, before it is the environment's.

    Args:
        action: `[batch, *action_shape]`, the policy's own.
        log_prob: `[batch]` float32, of these actions; None where nothing was asked about them.
        value: `[batch]` float32; None likewise, or where the policy judges no states.
        outputs: `[batch, num_outputs]` float32, of the network.
    """

    action: np.ndarray
    log_prob: np.ndarray | None
    value: np.ndarray | None
    outputs: np.ndarray


class Policy:
    """Chooses actions: deterministic unless exploring, by several threads if need be; torch's generator is left alone.

    Its network is in eval mode; who trains it leaves that for an update.

    Args:
        network: maps observations to what the distribution over actions is made of.
        observation_space: what observations are made of.
        action_space: what is chosen among.
        masked: whether it chooses among legal actions only, as a mask says.
        normalizer: of observations; None to leave them.
        description: how the network is built anew, see `poke.policies.building`.
        seed: of exploration.
    """

    def __init__(
        self,
        network: ActorCritic,
        observation_space: ObservationSpace,
        action_space: ActionSpace,
        *,
        masked: bool = False,
        normalizer: ObservationNormalizer | None = None,
        description: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> None:
        self.network = network.eval()
        self.observation_space = observation_space
        self.action_space = action_space
        self.masked = masked
        self.normalizer = normalizer
        self.distribution = distribution_of(action_space, network.log_std, network.atoms)
        self._description = description
        self._inference = Inference(network)
        self._generator = np.random.default_rng(seed)

    def act(
        self,
        observation: Any,
        *,
        action_mask: Any = None,
        info: Mapping[str, Any] | None = None,
        state: Memory | None = None,
        explore: bool = False,
        return_info: bool = False,
    ) -> Any:
        """Choose actions: the most probable, or a sample when exploring.

        Args:
            observation: one as the environment gives it, or a batch, whose parts have a leading axis.
            action_mask: true where legal, `[num_actions]` or `[batch, num_actions]`.
            info: the environment's; its `action_mask` is taken where none is given.
            state: of `initial_state`, for a policy with memory; it is moved on in place.
            explore: sample from the distribution.
            return_info: tell more of the choice.

        Returns:
            The action as the environment takes it, or the batch of them; with `return_info` a pair of it and a dict of
            `log_prob`, `value` (where the policy judges states) and `probabilities` (of choices) or `mean` and `std`.
            `log_prob` is of the action as the environment takes it where that was squashed; where it was clipped, of
            the one before. `mean` and `std` are of the action before either.

        Raises:
            SpaceError: an observation or mask that does not fit.
            PolicyError: no mask for a policy that chooses among legal actions, or no state for one with memory, or one
                of another number of episodes.
        """
        array, single = self.observation_space.encode(observation)
        mask = action_mask
        if mask is None:
            mask = self.observation_space.mask_of(observation)
            if mask is None and info is not None:
                mask = info.get("action_mask")
        if mask is not None:
            mask = self.action_space.read_mask(mask, *(() if single else (len(array),)))
            mask = mask.reshape(len(array), -1)
        elif self.masked:
            raise PolicyError(
                "this policy chooses among legal actions: give action_mask=, or info="
            )
        choice = self.choose(
            array, action_mask=mask, state=state, explore=explore, judge=return_info
        )
        action = self.action_space.to_environment(choice.action)
        if not return_info:
            return action[0] if single else action
        told = self._tell(choice, mask)
        return (action[0], {n: v[0] for n, v in told.items()}) if single else (action, told)

    def choose(
        self,
        observation: np.ndarray,
        *,
        action_mask: np.ndarray | None = None,
        state: Memory | None = None,
        explore: bool = False,
        generator: np.random.Generator | None = None,
        judge: bool = False,
    ) -> Choice:
        """Choose for a batch of encoded observations.

        Args:
            observation: `[batch, *observation_space.shape]`, not normalised yet.
            action_mask: `[batch, mask_size]` bool.
            state: as of `act`.
            explore: sample from the distribution.
            generator: what to draw from; one's own by default.
            judge: tell log-probability and value too.
        """
        if self.normalizer is not None:
            observation = self.normalizer(observation)
        outputs, value = self.infer(observation, state, judge=judge)
        distribution = self.distribution
        if explore:
            generator = generator or self._generator
            action, log_prob = distribution.sample(outputs, action_mask, generator)
            return Choice(action, log_prob, value, outputs)
        action = distribution.mode(outputs, action_mask)
        told = distribution.log_prob(outputs, action, action_mask) if judge else None
        return Choice(action, told, value, outputs)

    def infer(
        self, observation: np.ndarray, state: Memory | None = None, *, judge: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the network's outputs and the states' values, for observations that are normalised already.

        Args:
            observation: `[batch, *observation_space.shape]`.
            state: as of `act`.
            judge: without it a critic that is a network of its own may be left out.

        Returns:
            `[batch, num_outputs]` and `[batch]` float32.

        Raises:
            PolicyError: as of `act`.
        """
        if not self.network.state_size:
            return self._inference(observation, judge)
        if state is None:
            raise PolicyError("this policy has a memory: give state=, as initial_state() makes it")
        if len(state.values) != len(observation):
            raise PolicyError(
                f"state= is of {len(state.values)} episodes, the observations are of {len(observation)}"
            )
        outputs, value, values = self._inference.step(observation, state.values)
        state.values = values
        return outputs, value

    def use_torch(self) -> None:
        """Let torch compute the network even where it is small enough for numpy."""
        self._inference.use_torch()

    def initial_state(self, batch_size: int = 1) -> Memory | None:
        """Return a memory of nothing, for so many episodes side by side; None where the policy has no memory."""
        size = self.network.state_size
        return Memory(np.zeros((batch_size, size), np.float32)) if size else None

    def get_state(self) -> dict[str, Any]:
        """Return all that acting takes: the description, the network's weights, the normaliser's statistics."""
        return {
            "description": self._description,
            "network": self.network.get_weights(),
            "normalizer": None if self.normalizer is None else self.normalizer.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` of a policy of the same description returned.

        Raises:
            ValueError: the one normalises observations and the other does not, or statistics do not fit.
            RuntimeError: weights do not fit.
        """
        theirs, own = state["normalizer"] is not None, self.normalizer is not None
        if theirs != own:
            raise ValueError(
                f"normalize_observation is {str(own).lower()}, was {str(theirs).lower()}: "
                "what was learned of the one does not fit the other"
            )
        self.network.set_weights(state["network"])
        if self.normalizer is not None:
            self.normalizer.set_state(state["normalizer"])

    def _tell(self, choice: Choice, mask: np.ndarray | None) -> dict[str, np.ndarray]:
        log_prob = choice.log_prob
        if self.action_space.bounds == "squash" and log_prob is not None:
            log_prob = log_prob - self.action_space.log_slope(choice.action)
        told = {"log_prob": log_prob, "value": choice.value}
        known = {name: values for name, values in told.items() if values is not None}
        return {**known, **self.distribution.describe(choice.outputs, mask)}
