"""What a policy is worth, told from recorded transitions alone.

Fitted Q evaluation: Le, Voloshin, Yue, "Batch Policy Learning under Constraints", ICML 2019, algorithm 3, by gradient
steps towards a copy that follows slowly, as is usual since (Voloshin et al., "Empirical Study of Off-Policy Policy
Evaluation", 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from poke.algorithms.descent import Descent
from poke.algorithms.heldout import HeldOutData, HeldOutEvaluator
from poke.algorithms.values.critics import Follower, Judging, MakeNetwork, make_critics
from poke.algorithms.values.heads import Heads
from poke.algorithms.values.masked import chosen, legal_max
from poke.data.demonstrations import DemonstrationBatch
from poke.data.experience import Transitions
from poke.policies.policy import Policy
from poke.protocols import EvaluatorDefaults


class RecordedValues(HeldOutData, Protocol):
    """A source of recorded transitions, some of which are held out."""

    def draw(self, count: int, generator: torch.Generator) -> Transitions:
        """Return transitions of training, drawn with replacement."""
        ...

    def validation_transitions(self, batch_size: int) -> Iterator[Transitions]:
        """Yield every held-out transition once, in a fixed order."""
        ...

    def first_batches(self, batch_size: int) -> Iterator[DemonstrationBatch]:
        """Yield the first decision of every held-out episode once, in a fixed order."""
        ...


class Judged(Protocol):
    """An algorithm with a policy.

    One with critics has a method ``judge(part)`` besides, which returns what every action is worth, `[batch,
    num_actions]`, or None where they are not one choice, and absolute errors, `[batch]`.
    """

    policy: Policy


class ValueEvaluator(EvaluatorDefaults):
    """Evaluator: what a policy is worth, and how well its critics know, without playing.

    Args:
        algorithm: is to be evaluated; whether it has critics says what is told.
        source: holds the transitions.
        make_network: makes the critic that is fitted, of the configured kind of network.
        device: where it is to be.
        gamma: discount factor.
        fitted_updates: gradient steps that the critic is fitted by, anew at every evaluation; 0: none is.
        fitted_lr: Adam's learning rate for that.
        fitted_batch_size: transitions a step of it.
        batch_size: held-out decisions at once; memory and speed only.
        seed: of the fitted critic and what it is fitted on; not the run's.
    """

    category = "val"

    def __init__(
        self,
        algorithm: Judged,
        source: RecordedValues,
        make_network: MakeNetwork,
        device: torch.device,
        *,
        gamma: float,
        fitted_updates: int,
        fitted_lr: float,
        fitted_batch_size: int,
        batch_size: int,
        seed: int,
    ) -> None:
        self._judges = hasattr(algorithm, "judge")
        self._source = source
        self._make_network = make_network
        self._device = device
        self._gamma = gamma
        self._updates = fitted_updates
        self._lr = fitted_lr
        self._fitted_batch_size = fitted_batch_size
        self._batch_size = batch_size
        self._seed = seed
        self._held_out = HeldOutEvaluator(source, batch_size=batch_size)

    @property
    def metric_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names that `evaluate` returns."""
        names = list(self._held_out.metric_names)
        if self._judges:
            names.append("td_error")
            if self._source.action_space.kind == "discrete":
                names.append("q_gap")
        if self._updates:
            names.append("fitted_value")
        return tuple(names)

    def evaluate(self, algorithm: Judged) -> dict[str, float]:
        """Return what `eval=heldout` does, and how well the policy and its critics do by the held-out part.

        Accuracy is how often policy and data agree (of numbers mse, how far they are apart); all are means over all
        held-out transitions or episodes. Besides: ``fitted_value``, the discounted return of the policy from where
        episodes begin, as fitted Q evaluation has it; of algorithms with critics ``td_error``, by how much they are
        wrong about what was done, and of one choice ``q_gap``, by how much the best legal action is worth more than the
        one done.
        """
        found = self._held_out.evaluate(algorithm)
        if self._judges:
            found |= self._judged(algorithm)
        if self._updates:
            found["fitted_value"] = self._fitted_value(algorithm.policy)
        return found

    def _judged(self, algorithm: Any) -> dict[str, float]:
        errors, gaps = [], []
        for part in self._source.validation_transitions(self._batch_size):
            values, error = algorithm.judge(part)
            errors.append(error)
            if values is not None:
                gaps.append(legal_max(values, part.action_mask) - chosen(values, part.action))
        found = {"td_error": float(torch.cat(errors).double().mean())}
        if gaps:
            found["q_gap"] = float(torch.cat(gaps).double().mean())
        return found

    def _fitted_value(self, policy: Policy) -> float:
        critics, heads = self._fit(policy)
        worth = []
        with torch.no_grad():
            for first in self._source.first_batches(self._batch_size):
                action = self._act(policy, first.observation, first.action_mask)
                worth.append(heads.read(critics.of(first.observation, action))[0, :, 0])
        return float(torch.cat(worth).double().mean())

    def _fit(self, policy: Policy) -> tuple[Any, Heads]:
        """Return a critic of what the policy does, fitted on what is trained on."""
        heads = Heads([self._gamma]).to(self._device)
        # Initial weights are drawn, on the CPU; training draws what it would without an evaluation.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(
                self._seed
            )  # torch.manual_seed would seed devices too
            critics = make_critics(
                self._make_network,
                policy.observation_space,
                policy.action_space,
                heads,
                judging=Judging(num=1),
                device=self._device,
            )
        target = Follower(critics)
        descent = Descent({"critics": critics}, lr={"critics": self._lr})
        generator = torch.Generator().manual_seed(self._seed)
        for _ in range(self._updates):
            part = self._source.draw(self._fitted_batch_size, generator)
            with torch.no_grad():
                action = self._act(policy, part.next_observation, part.next_action_mask)
                after = heads.read(target.network.of(part.next_observation, action))[0]
                rewards, discount = part.bridge(heads.gammas)
            said = critics.of(part.observation, part.action)[0]
            descent.step({"fitted_loss": heads.loss(said, rewards + discount * after).mean()})
            target.follow(descent.flat["critics"], 0.01)
        return critics, heads

    def _act(self, policy: Policy, observation: Tensor, mask: Tensor | None) -> Tensor:
        """Return the policy's most probable actions, its own, for observations as the source serves them."""
        outputs, _ = policy.infer(observation.cpu().numpy(), judge=False)
        legal = None if mask is None else mask.cpu().numpy()
        return torch.from_numpy(policy.distribution.mode(outputs, legal)).to(self._device)
