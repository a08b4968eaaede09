import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from poke.algorithms.bc import BehaviourCloning, HeldOutEvaluator
from poke.algorithms.imitation import smoothed_cross_entropy
from poke.data.demonstrations import DemonstrationBatch, Demonstrations
from poke.networks.actor_critic import ActorCritic
from poke.policies.distributions import masked_logits
from poke.policies.policy import Policy
from poke.protocols import NonFiniteError
from poke.spaces import ActionSpace, ObservationSpace

from ..contracts.corridor import cue_demonstrations
from ..contracts.parts import policy_maker, recorded

THREE = ActionSpace.discrete(3)


def bc(network=None, space=THREE, **options):
    torch.manual_seed(0)
    made = ActorCritic(lambda n: network or nn.Linear(4, n), space)
    policy = Policy(made, ObservationSpace.box((4,)), space, seed=0)
    return BehaviourCloning(policy, **{"lr": 0.05, **options})


def weights(algorithm):
    return {k: v.clone() for k, v in algorithm.policy.get_state()["network"].items()}


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
        action = algorithm.policy.act(
            observation.numpy(), action_mask=mask.numpy(), explore=explore
        )
        assert (action == 1).all()


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
    before = weights(algorithm)
    bad = batch()
    bad.observation[3, 0] = poison
    with pytest.raises(NonFiniteError, match="loss is"):
        algorithm.update(bad)
    for name, value in weights(algorithm).items():
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
    state = copy.deepcopy((begun.policy.get_state(), begun.get_state()))
    same, decaying = bc(weight_decay=0.0), bc(weight_decay=0.5)
    for algorithm in (same, decaying):
        policy_state, own_state = copy.deepcopy(state)
        algorithm.policy.set_state(policy_state)
        algorithm.set_state(own_state)
        assert torch.equal(weights(algorithm)["weight"], weights(begun)["weight"])
        algorithm.update(batch(seed=1))
    begun.update(batch(seed=1))
    assert torch.equal(weights(same)["weight"], weights(begun)["weight"])
    assert (
        same.get_state()["optimizer"]["param_groups"]
        == begun.get_state()["optimizer"]["param_groups"]
    )
    # Decoupled: each weight shrinks by lr * weight_decay besides, and nothing else differs.
    shrunk = weights(begun)["weight"] - 0.05 * 0.5 * state[0]["network"]["weight"]
    assert torch.allclose(weights(decaying)["weight"], shrunk, atol=1e-6)


class TwoBatches:
    action_space = THREE

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
    with torch.no_grad():
        logits = torch.cat(
            [masked_logits(algorithm.network(b.observation)[0], b.action_mask) for b in both]
        )
    action = torch.cat([b.action for b in both])
    assert metrics["loss"] == pytest.approx(
        nn.functional.cross_entropy(logits, action).item(), rel=1e-6
    )
    right = logits.argmax(dim=1) == action
    assert metrics["accuracy"] == pytest.approx(right.float().mean().item())
    assert metrics["switch_accuracy"] == pytest.approx(right[action == 0].float().mean().item())
    assert metrics["top3_accuracy"] == 1.0


def test_evaluating_and_acting_use_no_dropout_and_change_no_random_state_and_no_weight():
    algorithm = bc(nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)))
    observation = batch().observation.numpy()
    mask = np.ones((32, 3), bool)
    for _ in range(2):
        state = torch.get_rng_state()
        first = HeldOutEvaluator(TwoBatches(), batch_size=10).evaluate(algorithm)
        assert first == HeldOutEvaluator(TwoBatches(), batch_size=10).evaluate(algorithm)
        told = [
            algorithm.policy.act(observation, action_mask=mask, return_info=True)[1]
            for _ in range(2)
        ]
        assert np.array_equal(told[0]["probabilities"], told[1]["probabilities"])
        assert torch.equal(torch.get_rng_state(), state)
        assert not algorithm.policy.network.training  # else threads would switch it for each other
        algorithm.update(batch())
        assert not torch.equal(torch.get_rng_state(), state)  # training does drop


def test_the_metrics_names_are_known_before():
    evaluator = HeldOutEvaluator(TwoBatches(), batch_size=10)
    names = evaluator.metric_names
    assert names == tuple(evaluator.evaluate(bc()))
    assert names[-2:] == ("switch_accuracy", "move_accuracy")


@pytest.mark.parametrize("training", [True, False])
def test_an_interrupted_evaluation_leaves_the_network_in_its_mode(training):
    class Interrupting(TwoBatches):
        def validation_batches(self, batch_size):
            yield batch(10)
            raise KeyboardInterrupt

    algorithm = bc()
    algorithm.network.train(training)
    with pytest.raises(KeyboardInterrupt):
        HeldOutEvaluator(Interrupting(), batch_size=10).evaluate(algorithm)
    assert algorithm.network.training == training


def cloned(kind, num_updates=300, memory=None, data=None, **options):
    """A clone of a teacher that acts by the signs of what it sees, and how well it is judged to be."""
    torch.manual_seed(0)
    source = Demonstrations(
        data or recorded(kind), batch_size=64, val_fraction=0.25, sequence_length=8
    )
    algorithm = BehaviourCloning(policy_maker(source, memory=memory)(), lr=0.02, **options)
    source.attach(algorithm)
    evaluator = HeldOutEvaluator(source, batch_size=100)
    before = evaluator.evaluate(algorithm)
    told = [algorithm.update(source.sample()) for _ in range(num_updates)]
    after = evaluator.evaluate(algorithm)
    assert evaluator.metric_names == tuple(before) == tuple(after)
    return source, algorithm, before, after, told[-1]


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete", "multi_binary"])
def test_choices_are_cloned(kind):
    _, _, before, after, told = cloned(kind)
    assert after["loss"] < 0.5 * before["loss"]
    assert after["accuracy"] > 0.85
    names = {"accuracy"} if kind == "discrete" else {"accuracy", "part_accuracy"}
    assert names <= told.keys()
    assert ("top3_accuracy" in after) == (kind == "discrete")
    if kind != "discrete":
        assert after["accuracy"] <= after["part_accuracy"] <= 1


@pytest.mark.parametrize("kind", ["multi_discrete", "multi_binary"])
def test_what_is_measured_of_several_choices_is_their_likelihood_and_their_agreement(kind):
    source, algorithm, _, after, _ = cloned(kind, 20)
    (batch,) = source.validation_batches(10_000)
    observation, action = batch.observation.numpy(), batch.action.numpy()
    chosen, told = algorithm.policy.act(observation, return_info=True)
    chosen = algorithm.policy.action_space.from_environment(chosen)
    assert after["accuracy"] == pytest.approx((chosen == action).all(axis=1).mean())
    assert after["part_accuracy"] == pytest.approx((chosen == action).mean())
    probabilities = told["probabilities"]
    if kind == "multi_binary":
        each = np.where(action, probabilities, 1 - probabilities)
    else:
        first = np.cumsum([0, *source.action_space.sizes[:-1]])
        each = np.take_along_axis(probabilities, action + first, axis=1)
    assert after["loss"] == pytest.approx(-np.log(each).sum(axis=1).mean(), rel=1e-4)


def test_smoothing_of_several_choices_never_asks_for_certainty():
    for kind in ("multi_discrete", "multi_binary"):
        _, _, _, sharp, _ = cloned(kind, 400)
        _, _, _, smooth, _ = cloned(kind, 400, label_smoothing=0.3)
        assert smooth["loss"] > sharp["loss"]


def test_continuous_actions_are_cloned_with_the_deviation_the_teacher_has():
    source, algorithm, before, after, told = cloned("continuous", 800)
    assert list(after) == ["loss", "mse"]
    assert after["loss"] < before["loss"]
    assert after["mse"] < 0.1
    assert set(told) == {"loss", "mse", "grad_norm", "lr"}
    (batch,) = source.validation_batches(10_000)
    _, told = algorithm.policy.act(batch.observation.numpy(), return_info=True)
    assert after["mse"] == pytest.approx(
        ((told["mean"] - batch.action.numpy()) ** 2).mean(), rel=1e-4
    )
    # The noise of the teacher's two numbers.
    np.testing.assert_allclose(told["std"][0], [0.1, 0.3], rtol=0.25)


def test_the_squared_error_is_minimised_where_that_is_asked_for():
    _, algorithm, before, after, told = cloned("continuous", loss="mse")
    assert list(after) == ["loss", "mse"]
    assert after["loss"] == after["mse"] < 0.1 * before["mse"]
    assert told["loss"] == pytest.approx(float(told["mse"]))
    # It says nothing of the deviation, which stays as it began.
    assert algorithm.policy.act(np.zeros(4), return_info=True)[1]["std"].tolist() == [1, 1]


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete", "multi_binary"])
def test_a_squared_error_of_choices_is_refused(kind):
    with pytest.raises(
        ValueError, match=r"^algo\.loss=mse is for continuous actions, and these are"
    ):
        cloned(kind, loss="mse")


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_a_clone_with_a_memory_does_what_takes_one(memory):
    """The teacher does at the end of each episode what it was shown at the beginning."""
    data = cue_demonstrations(num_episodes=80)
    _, _, _, after, _ = cloned(None, 120, memory, data)
    _, _, _, forgetful, _ = cloned(None, 120, None, data)
    assert after["accuracy"] == 1
    assert forgetful["accuracy"] < 0.95  # one decision of five is a guess


def test_padding_is_neither_learned_from_nor_measured():
    source, algorithm, _, _, _ = cloned("discrete", 5, "gru")
    batch = source.sample()
    assert not batch.real.all()
    state = copy.deepcopy((algorithm.policy.get_state(), algorithm.get_state()))
    told = algorithm.update(batch)
    other = cloned("discrete", 1, "gru")[1]
    other.policy.set_state(state[0])
    other.set_state(state[1])
    batch.observation[~batch.real] = 1e3
    batch.action[~batch.real] = 0
    again = other.update(batch)
    for name, value in told.items():
        assert float(again[name]) == pytest.approx(float(value), rel=1e-5), name


@pytest.mark.parametrize("memory", [None, "gru"])
def test_a_gradient_computed_in_parts_is_that_of_the_whole(memory):
    """Sequences have each another length, and parts other numbers of decisions."""
    whole, parts = (cloned("discrete", 8, memory, accumulate=n) for n in (1, 3))
    for name, value in whole[-1].items():
        assert float(parts[-1][name]) == pytest.approx(float(value), rel=1e-4), name
    for name, value in weights(whole[1]).items():
        torch.testing.assert_close(weights(parts[1])[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_sequences_without_a_known_choice_teach_nothing(accumulate):
    source, algorithm, _, _, _ = cloned("discrete", 1, "gru", accumulate=accumulate)
    batch = source.sample()
    batch.real[:] = False
    told = algorithm.update(batch)
    assert float(told["loss"]) == float(told["grad_norm"]) == 0
    assert all(weight.isfinite().all() for weight in weights(algorithm).values())


@pytest.mark.parametrize("count", [2, 3, 7, 40])
def test_parts_of_a_batch_are_its_decisions_in_order(count):
    whole = batch(size=7)
    parts = whole.parts(count)
    assert len(parts) == min(count, 7)
    for name in ("observation", "action", "action_mask"):
        columns = [getattr(part, name) for part in parts]
        assert torch.equal(torch.cat(columns), getattr(whole, name))


def test_held_out_episodes_are_judged_from_their_beginning_as_they_would_be_played():
    source, algorithm, _, after, _ = cloned("discrete", 30, "lstm")
    right = count = 0
    for batch in source.validation_batches(1):  # an episode each
        state = algorithm.policy.initial_state(1)
        for observation, action in zip(batch.observation[:, 0], batch.action[:, 0], strict=True):
            right += int(algorithm.policy.act(observation.numpy(), state=state) == action)
            count += 1
    assert after["accuracy"] == pytest.approx(right / count)


def test_single_decisions_are_no_food_for_a_memory():
    _, algorithm, _, _, _ = cloned("discrete", 1, "gru")
    with pytest.raises(ValueError, match=r"^a network with a memory learns from sequences"):
        algorithm.update(
            Demonstrations(recorded("discrete"), batch_size=8, val_fraction=0.1).sample()
        )
