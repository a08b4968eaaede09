import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from poke.algorithms.bc import (
    BehaviourCloning,
    HeldOutEvaluator,
    masked_logits,
    smoothed_cross_entropy,
)
from poke.data.demonstrations import DemonstrationBatch
from poke.protocols import NonFiniteError


def bc(network=None, **options):
    torch.manual_seed(0)
    return BehaviourCloning(network or nn.Linear(4, 3), lr=0.05, **options)


def batch(size=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn(size, 4, generator=generator)
    mask = torch.ones(size, 3, dtype=torch.bool)
    mask[::2, 2] = False
    return DemonstrationBatch(observation, observation[:, :2].argmax(dim=1), mask)


def test_smoothing_spreads_over_legal_actions_only():
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    mask = torch.tensor([[True, True, False]])
    log_probs = masked_logits(logits, mask).log_softmax(dim=1)
    loss = smoothed_cross_entropy(log_probs, torch.tensor([0]), mask, 0.1)
    p = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()
    assert loss.item() == pytest.approx(-(0.95 * np.log(p[0]) + 0.05 * np.log(p[1])), rel=1e-6)


def test_smoothing_equals_torchs_own_where_everything_is_legal():
    logits = torch.randn(16, 5, generator=torch.Generator().manual_seed(1))
    action = torch.arange(16) % 5
    ours = smoothed_cross_entropy(logits.log_softmax(dim=1), action, None, 0.2)
    assert ours.item() == pytest.approx(
        nn.functional.cross_entropy(logits, action, label_smoothing=0.2).item()
    )


def test_an_illegal_action_is_never_chosen():
    algorithm = bc()
    observation = torch.randn(200, 4)
    mask = torch.zeros(200, 3, dtype=torch.bool)
    mask[:, 1] = True
    for explore in (True, False):
        assert (algorithm.act(observation, action_mask=mask, explore=explore) == 1).all()


def test_it_learns_the_teachers_rule():
    algorithm = bc(label_smoothing=0.05, max_grad_norm=1.0)
    first = float(algorithm.update(batch())["loss"])
    for i in range(300):
        metrics = algorithm.update(batch(seed=i))
    assert float(metrics["loss"]) < 0.5 * first
    assert float(metrics["accuracy"]) > 0.9


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_non_finite_loss_never_reaches_the_weights(poison):
    algorithm = bc(max_grad_norm=1.0)
    before = {k: v.clone() for k, v in algorithm.network.state_dict().items()}
    bad = batch()
    bad.observation[3, 0] = poison
    with pytest.raises(NonFiniteError, match="loss is"):
        algorithm.update(bad)
    for name, value in algorithm.network.state_dict().items():
        assert torch.equal(value, before[name])
    algorithm.update(batch())


def test_gradients_are_clipped_and_the_norm_before_clipping_reported():
    norms = [float(bc(max_grad_norm=limit).update(batch())["grad_norm"]) for limit in (0.0, 1e-3)]
    assert norms[0] == norms[1] > 1e-3


def test_cosine_schedule_with_warm_up():
    algorithm = bc(lr_schedule="cosine", schedule_steps=20, warmup_steps=4)
    rates = [algorithm.update(batch())["lr"] for _ in range(24)]
    assert rates[:4] == pytest.approx([0.0125, 0.025, 0.0375, 0.05])
    assert rates[12] == pytest.approx(0.025)
    assert rates[20:] == pytest.approx([0.0] * 4, abs=1e-12)


def test_a_weight_decay_given_on_resume_takes_effect():
    begun = bc(weight_decay=0.0)
    begun.update(batch())
    state = copy.deepcopy(begun.get_state())
    same, decaying = bc(weight_decay=0.0), bc(weight_decay=0.5)
    for algorithm in (same, decaying):
        algorithm.set_state(copy.deepcopy(state))
        assert torch.equal(algorithm.network.weight, begun.network.weight)
        algorithm.update(batch(seed=1))
    begun.update(batch(seed=1))
    assert torch.equal(same.network.weight, begun.network.weight)
    assert (
        same.get_state()["optimizer"]["param_groups"]
        == begun.get_state()["optimizer"]["param_groups"]
    )
    # Decoupled: each weight shrinks by lr * weight_decay besides, and nothing else differs.
    shrunk = begun.network.weight - 0.05 * 0.5 * state["network"]["weight"]
    assert torch.allclose(decaying.network.weight, shrunk, atol=1e-6)


class TwoBatches:
    def __init__(self):
        switch = torch.tensor([True, False, False])
        never = torch.zeros(3, dtype=torch.bool)
        self.action_kinds = {"switch": switch, "pass": never, "move": ~switch}

    def validation_batches(self, batch_size):
        yield batch(10, seed=1)
        yield batch(7, seed=2)


def test_held_out_metrics_weigh_every_decision_alike():
    algorithm = bc()
    metrics = HeldOutEvaluator(TwoBatches(), batch_size=10).evaluate(algorithm)
    both = [batch(10, seed=1), batch(7, seed=2)]
    logits = torch.cat([algorithm.logits(b.observation, b.action_mask) for b in both])
    action = torch.cat([b.action for b in both])
    assert metrics["loss"] == pytest.approx(
        nn.functional.cross_entropy(logits, action).item(), rel=1e-6
    )
    right = logits.argmax(dim=1) == action
    assert metrics["accuracy"] == pytest.approx(right.float().mean().item())
    assert metrics["switch_accuracy"] == pytest.approx(right[action == 0].float().mean().item())
    assert metrics["top3_accuracy"] == 1.0


def test_evaluation_changes_no_random_state_and_no_weight():
    algorithm = bc(nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)))
    state = torch.get_rng_state()
    first = HeldOutEvaluator(TwoBatches(), batch_size=10).evaluate(algorithm)
    assert first == HeldOutEvaluator(TwoBatches(), batch_size=10).evaluate(algorithm)
    assert torch.equal(torch.get_rng_state(), state)
    assert algorithm.network.training


def test_the_metrics_names_are_known_before():
    evaluator = HeldOutEvaluator(TwoBatches(), batch_size=10)
    names = evaluator.metric_names
    assert names == tuple(evaluator.evaluate(bc()))
    assert names[-2:] == ("switch_accuracy", "move_accuracy")


def test_an_interrupted_evaluation_leaves_the_network_in_training_mode():
    class Interrupting(TwoBatches):
        def validation_batches(self, batch_size):
            yield batch(10)
            raise KeyboardInterrupt

    algorithm = bc()
    with pytest.raises(KeyboardInterrupt):
        HeldOutEvaluator(Interrupting(), batch_size=10).evaluate(algorithm)
    assert algorithm.network.training
