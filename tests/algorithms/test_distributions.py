"""Every distribution against torch.distributions, on generated outputs and masks."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, Normal, TransformedDistribution
from torch.distributions.transforms import AffineTransform, TanhTransform

from poke.networks.actor_critic import ActorCritic
from poke.policies.distributions import distribution_of
from poke.policies.policy import Policy
from poke.spaces import ActionSpace, ObservationSpace

SIZES = (3, 2, 4)
SPACES = {
    "discrete": ActionSpace.discrete(5),
    "multi_discrete": ActionSpace("multi_discrete", SIZES, (0,) * 3, (3,)),
    "multi_binary": ActionSpace("multi_binary", (2,) * 4, (0,) * 4, (4,), "int8"),
    "continuous": ActionSpace.continuous_box((3,), -1, 1),
}
LOG_STD = torch.tensor([0.3, -0.7, 0.0])


def made(kind):
    return distribution_of(
        SPACES[kind], torch.nn.Parameter(LOG_STD.clone()) if kind == "continuous" else None
    )


class Parts:
    """Several categoricals as one of torch's."""

    def __init__(self, logits):
        self.parts = [Categorical(logits=part) for part in logits.split(SIZES, dim=1)]

    def log_prob(self, action):
        each = [part.log_prob(a) for part, a in zip(self.parts, action.unbind(1), strict=True)]
        return torch.stack(each).sum(0)

    def entropy(self):
        return torch.stack([part.entropy() for part in self.parts]).sum(0)


def oracle(kind, outputs, mask=None):
    outputs = torch.as_tensor(outputs)
    if mask is not None:
        outputs = outputs.masked_fill(~torch.from_numpy(mask), -1e30)
    if kind == "discrete":
        return Categorical(logits=outputs)
    if kind == "multi_discrete":
        return Parts(outputs)
    if kind == "multi_binary":
        return Independent(Bernoulli(logits=outputs), 1)
    return Independent(Normal(outputs, LOG_STD.exp()), 1)


def some_outputs(kind, batch=6, seed=0, scale=2.0):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=scale, size=(batch, SPACES[kind].num_outputs)).astype(np.float32)


def some_mask(kind, batch=6, seed=0):
    """At least one legal value of each choice; None where actions have no masks."""
    space, rng = SPACES[kind], np.random.default_rng(seed)
    if not space.mask_size:
        return None
    parts = []
    for size in space.sizes:
        part = rng.random((batch, size)) < 0.5
        part[np.arange(batch), rng.integers(size, size=batch)] = True
        parts.append(part)
    return np.concatenate(parts, axis=1)


CASES = [(kind, masked) for kind in SPACES for masked in (False, True) if not masked or SPACES[kind].mask_size]  # fmt: skip


@pytest.mark.parametrize(("kind", "masked"), CASES)
@pytest.mark.parametrize("seed", range(4))
def test_log_probabilities_and_entropies_are_torchs(kind, masked, seed):
    outputs = some_outputs(kind, seed=seed, scale=10.0 if seed else 1.0)
    mask = some_mask(kind, seed=seed) if masked else None
    distribution, theirs = made(kind), oracle(kind, outputs, mask)
    action, log_prob = distribution.sample(outputs, mask, np.random.default_rng(seed))
    assert action.shape == (6, *SPACES[kind].action_shape)
    assert action.dtype == SPACES[kind].action_dtype
    expected = theirs.log_prob(torch.from_numpy(action)).numpy()
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        distribution.log_prob(outputs, action, mask), expected, rtol=1e-4, atol=1e-5
    )
    ours, entropy = distribution.log_prob_and_entropy(
        torch.from_numpy(outputs),
        torch.from_numpy(action),
        None if mask is None else torch.from_numpy(mask),
    )
    np.testing.assert_allclose(ours.detach(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        entropy.detach(), theirs.entropy().detach().numpy(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("kind", "masked"), [case for case in CASES if case[0] != "continuous"])
def test_samples_follow_the_distribution_and_the_mask(kind, masked):
    outputs, mask = some_outputs(kind, 1), some_mask(kind, 1) if masked else None
    many = np.repeat(outputs, 20_000, axis=0)
    masks = None if mask is None else np.repeat(mask, 20_000, axis=0)
    action, _ = made(kind).sample(many, masks, np.random.default_rng(0))
    told = made(kind).describe(outputs, mask)["probabilities"][0]
    if kind == "multi_binary":
        shares = action.mean(axis=0)
    else:
        columns = action.reshape(len(action), -1)
        shares = np.concatenate(
            [np.bincount(c, minlength=n) / len(c) for c, n in zip(columns.T, SPACES[kind].sizes, strict=True)]
        )  # fmt: skip
    np.testing.assert_allclose(shares, told, atol=0.02)
    if mask is not None:
        assert (shares[~mask[0]] == 0).all()


def test_continuous_samples_have_the_mean_and_deviation_that_are_told():
    outputs = some_outputs("continuous", 1)
    many = np.repeat(outputs, 20_000, axis=0)
    action, _ = made("continuous").sample(many, None, np.random.default_rng(0))
    told = made("continuous").describe(outputs, None)
    np.testing.assert_allclose(action.mean(axis=0), told["mean"][0], atol=0.05)
    np.testing.assert_allclose(action.std(axis=0), told["std"][0], rtol=0.05)


@pytest.mark.parametrize(("kind", "masked"), CASES)
def test_the_mode_is_no_less_probable_than_any_sample(kind, masked):
    outputs = some_outputs(kind)
    mask = some_mask(kind) if masked else None
    distribution, generator = made(kind), np.random.default_rng(0)
    best = distribution.log_prob(outputs, distribution.mode(outputs, mask), mask)
    for _ in range(50):
        _, log_prob = distribution.sample(outputs, mask, generator)
        assert (log_prob <= best + 1e-5).all()


@pytest.mark.parametrize(("kind", "masked"), CASES)
def test_extreme_outputs_give_finite_numbers(kind, masked):
    outputs = np.float32(1e4) * np.sign(some_outputs(kind))
    mask = some_mask(kind) if masked else None
    distribution = made(kind)
    action, log_prob = distribution.sample(outputs, mask, np.random.default_rng(0))
    assert np.isfinite(log_prob).all()
    tensors = [None if a is None else torch.from_numpy(a) for a in (outputs, action, mask)]
    tensors[0].requires_grad_()
    ours, entropy = distribution.log_prob_and_entropy(*tensors)
    (ours.sum() + entropy.sum()).backward()
    assert torch.isfinite(tensors[0].grad).all()


@pytest.mark.parametrize(("kind", "masked"), [c for c in CASES if c[0] in ("discrete", "continuous")])  # fmt: skip
def test_gradients_in_numpy_are_torchs(kind, masked):
    outputs, mask = some_outputs(kind), some_mask(kind) if masked else None
    distribution = made(kind)
    action, _ = distribution.sample(outputs, mask, np.random.default_rng(0))
    weights = np.random.default_rng(1).normal(size=6).astype(np.float32)
    log_std = getattr(distribution, "_log_std", None)

    tensor = torch.from_numpy(outputs).requires_grad_()
    log_prob, entropy = distribution.log_prob_and_entropy(
        tensor, torch.from_numpy(action), None if mask is None else torch.from_numpy(mask)
    )
    ((log_prob * torch.from_numpy(weights)).sum() + 0.3 * entropy.sum()).backward()
    by_log_std = None if log_std is None else log_std.grad.clone()

    terms = distribution.differentiable(outputs, action, mask)
    gradient = terms.backward(weights, 0.3)
    np.testing.assert_allclose(gradient, tensor.grad, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(terms.entropy, entropy.detach(), rtol=1e-4, atol=1e-5)
    if by_log_std is not None:
        torch.testing.assert_close(log_std.grad, by_log_std, rtol=1e-4, atol=1e-5)


def policy_of(space, **options):
    torch.manual_seed(0)
    network = ActorCritic(lambda n: torch.nn.Linear(2, n), space, **options)
    return Policy(network, ObservationSpace.box((2,)), space, seed=0)


def test_what_is_told_of_a_squashed_action_is_the_density_of_the_one_the_environment_takes():
    low, high = np.array([-3.0, 0.0, -1.0]), np.array([1.0, 5.0, 1.0])
    space = ActionSpace.continuous_box((3,), low, high, bounds="squash")
    policy = policy_of(space, log_std=-0.5, critic="separate")
    observation = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    action, told = policy.act(observation, explore=True, return_info=True)
    assert ((action > low) & (action < high)).all()
    middle, half = (torch.from_numpy(a) for a in ((low + high) / 2, (high - low) / 2))
    squashed = TransformedDistribution(
        Independent(Normal(torch.from_numpy(told["mean"]), torch.from_numpy(told["std"])), 1),
        [TanhTransform(), AffineTransform(middle, half, event_dim=1)],
    )
    expected = squashed.log_prob(torch.from_numpy(action).double())
    np.testing.assert_allclose(told["log_prob"], expected.detach(), rtol=1e-2, atol=1e-2)
    assert told["value"].shape == (50,)


@pytest.mark.parametrize("explore", [False, True])
def test_what_is_told_of_a_clipped_action_is_the_density_before_it_was_clipped(explore):
    policy = policy_of(ActionSpace.continuous_box((1,), -1, 1), log_std=1.0)
    action, told = policy.act(np.zeros(2, np.float32), explore=explore, return_info=True)
    assert -1 <= action[0] <= 1
    # A Gaussian's density at its mean; nowhere is it greater.
    peak = -(1 + 0.5 * math.log(2 * math.pi))
    assert told["log_prob"] < peak if explore else told["log_prob"] == pytest.approx(peak)


@pytest.mark.parametrize("kind", SPACES)
def test_one_observation_and_a_batch_of_it_are_alike(kind):
    policy = policy_of(SPACES[kind], critic="shared")
    one = np.array([0.3, -1.2])
    action, told = policy.act(one, return_info=True)
    actions, all_told = policy.act(np.stack([one, one]), return_info=True)
    assert np.array_equal(actions[1], action)
    assert np.shape(action) == SPACES[kind].shape
    for name, value in told.items():
        np.testing.assert_allclose(all_told[name][1], value, rtol=1e-6, atol=1e-6)
