"""Every distribution against torch.distributions, on generated outputs and masks."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, Normal, TransformedDistribution
from torch.distributions.transforms import AffineTransform, TanhTransform

from poke.algorithms.off_policy.sac import log_slope
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
    "by-state": ActionSpace.continuous_box((3,), -1, 1),
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
    if kind == "by-state":
        mean, log_std = outputs.chunk(2, dim=1)
        return Independent(Normal(mean, log_std.clamp(-20, 2).exp()), 1)
    return Independent(Normal(outputs, LOG_STD.exp()), 1)


def some_outputs(kind, batch=6, seed=0, scale=2.0):
    rng = np.random.default_rng(seed)
    size = SPACES[kind].num_outputs * (2 if kind == "by-state" else 1)
    outputs = rng.normal(scale=scale, size=(batch, size)).astype(np.float32)
    if (
        kind == "by-state"
    ):  # deviations beyond the limits of both sides would drown the means in rounding
        outputs[:, 3:] = outputs[:, 3:].clip(-4, 3)
    return outputs


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


NUMBERS = ("continuous", "by-state")
CASES = [(kind, False) for kind in SPACES]
CASES += [(kind, True) for kind, space in SPACES.items() if space.mask_size]


@pytest.mark.parametrize(("kind", "masked"), CASES)
@pytest.mark.parametrize("seed", range(4))
def test_log_probabilities_and_entropies_are_torchs(kind, masked, seed):
    outputs = some_outputs(kind, seed=seed, scale=10.0 if seed else 1.0)
    mask = some_mask(kind, seed=seed) if masked else None
    distribution, theirs = made(kind), oracle(kind, outputs, mask)
    action, log_prob = distribution.sample(outputs, mask, np.random.default_rng(seed))
    assert action.shape == (6, *SPACES[kind].action_shape)
    assert action.dtype == SPACES[kind].action_dtype
    given = action.astype(np.float32) if kind == "multi_binary" else action
    expected = theirs.log_prob(torch.from_numpy(given)).numpy()
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


@pytest.mark.parametrize(("kind", "masked"), [c for c in CASES if c[0] not in NUMBERS])
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


@pytest.mark.parametrize("kind", NUMBERS)
def test_continuous_samples_have_the_mean_and_deviation_that_are_told(kind):
    outputs = some_outputs(kind, batch=1, seed=1)
    many = np.repeat(outputs, 20_000, axis=0)
    action, _ = made(kind).sample(many, None, np.random.default_rng(0))
    told = made(kind).describe(outputs, None)
    error = 5 * told["std"][0] / 20_000**0.5
    assert (np.abs(action.mean(axis=0) - told["mean"][0]) < error).all()
    np.testing.assert_allclose(action.std(axis=0), told["std"][0], rtol=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_what_gradients_lead_through_is_what_is_sampled(seed):
    """The action is `mean + std * noise`, its density torch's; beyond their limits deviations have no gradient."""
    outputs = torch.from_numpy(some_outputs("by-state", seed=seed, scale=3.0)).requires_grad_()
    noise = torch.randn(6, 3, generator=torch.Generator().manual_seed(seed))
    action, log_prob = made("by-state").rsample(outputs, noise)
    theirs = oracle("by-state", outputs)
    expected = theirs.base_dist.loc + theirs.base_dist.scale * noise
    torch.testing.assert_close(action, expected)
    torch.testing.assert_close(log_prob, theirs.log_prob(expected), rtol=1e-4, atol=1e-4)
    weights = torch.arange(1.0, 7.0)
    found = torch.autograd.grad((action.sum(1) * weights + log_prob).sum(), outputs)[0]
    slow = torch.autograd.grad(
        (expected.sum(1) * weights + theirs.log_prob(expected)).sum(), outputs
    )[0]
    torch.testing.assert_close(found, slow, rtol=1e-3, atol=1e-3)
    outside = outputs[:, 3:] > 2
    assert (found[:, 3:][outside] == 0).all()


def test_densities_of_squashed_actions_integrate_to_one():
    """Of one number between -3 and 1, by what `ActionSpace.log_slope` and SAC take away."""
    space = ActionSpace.continuous_box((1,), -3, 1, bounds="squash")
    for mean, log_std in ((0.0, -0.5), (1.0, 0.3), (-0.7, -2.0)):
        own = np.linspace(-9, 9, 40_001, dtype=np.float64)[:, None]
        outputs = np.tile(np.array([[mean, log_std]], np.float32), (len(own), 1))
        density = made("by-state").log_prob(outputs, own, None) - space.log_slope(own)
        taken = space.to_environment(own).astype(np.float64)[:, 0]
        low, high = -3.0, 1.0
        exact = low + (np.tanh(own[:, 0]) + 1) / 2 * (high - low)
        assert np.abs(taken - exact).max() < 1e-6
        assert np.trapezoid(np.exp(density), exact) == pytest.approx(1, abs=1e-3)


def test_what_sac_takes_away_is_what_numpy_does():
    space = ActionSpace.continuous_box((3,), -1, 1, bounds="squash")
    own = 6 * np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    np.testing.assert_allclose(
        log_slope(torch.from_numpy(own)), space.log_slope(own), rtol=1e-5, atol=1e-5
    )


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
    std = "network" if kind == "by-state" else "parameter"
    policy = policy_of(SPACES[kind], critic="shared", std=std)
    one = np.array([0.3, -1.2])
    action, told = policy.act(one, return_info=True)
    actions, all_told = policy.act(np.stack([one, one]), return_info=True)
    assert np.array_equal(actions[1], action)
    assert np.shape(action) == SPACES[kind].shape
    for name, value in told.items():
        np.testing.assert_allclose(all_told[name][1], value, rtol=1e-6, atol=1e-6)
