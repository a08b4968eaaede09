"""Distributions over returns, and what a dueling network says of them, beside the equations."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from poke.networks.actor_critic import ActorCritic
from poke.networks.atoms import Atoms
from poke.policies.distributions import AtomCategorical, Categorical
from poke.spaces import ActionSpace

ACTIONS = 4


def drawn(seed, dueling, num=6, batch=5):
    generator = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(batch, (ACTIONS + dueling) * num, generator=generator)
    mask = torch.rand(batch, ACTIONS, generator=generator) < 0.5
    mask[torch.arange(batch), torch.randint(ACTIONS, (batch,), generator=generator)] = True
    return outputs, mask


def slow_probabilities(outputs, mask, atoms):
    """By the definitions, one number at a time."""
    n, found = atoms.num, []
    for row, legal in zip(outputs.tolist(), mask.tolist(), strict=True):
        said = [row[a * n : (a + 1) * n] for a in range(ACTIONS)]
        if atoms.dueling:
            value, allowed = row[ACTIONS * n :], [a for a in range(ACTIONS) if legal[a]]
            usual = [sum(said[a][i] for a in allowed) / len(allowed) for i in range(n)]
            said = [[value[i] + own[i] - usual[i] for i in range(n)] for own in said]
        found.append([[math.exp(x) / sum(map(math.exp, own)) for x in own] for own in said])
    return torch.tensor(found)


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_torch_and_numpy_say_what_the_definitions_do(dueling, masked, seed):
    atoms = Atoms(6, -2.0, 8.0, dueling=dueling)
    outputs, mask = drawn(seed, dueling)
    expected = slow_probabilities(outputs, mask if masked else torch.ones_like(mask), atoms)
    given = mask if masked else None
    torch.testing.assert_close(atoms.log_probs(outputs, given).exp(), expected)
    means = (expected * torch.linspace(-2, 8, 6)).sum(dim=2)
    torch.testing.assert_close(atoms.values(outputs, given), means, rtol=1e-5, atol=1e-5)
    legal = mask.numpy() if masked else None
    distribution = AtomCategorical(atoms)
    values = distribution.values(outputs.numpy(), legal)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, means, rtol=1e-5, atol=1e-5)
    best = distribution.mode(outputs.numpy(), legal)
    allowed = means if not masked else means.masked_fill(~mask, -math.inf)
    assert best.tolist() == allowed.argmax(dim=1).tolist()
    # Exploring, it draws as a policy of these values would.
    ours, theirs = (
        d.sample(o, legal, np.random.default_rng(0))
        for d, o in ((distribution, outputs.numpy()), (Categorical(), values))
    )
    assert np.array_equal(ours[0], theirs[0])
    action = torch.from_numpy(best)
    by_torch = distribution.log_prob_and_entropy(outputs, action, given)
    np.testing.assert_allclose(
        by_torch[0], distribution.log_prob(outputs.numpy(), best, legal), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("said", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("dueling", [False, True])
def test_what_is_said_of_the_illegal_is_not_heard(said, dueling):
    atoms = Atoms(6, -2.0, 8.0, dueling=dueling)
    outputs, mask = drawn(0, dueling)
    mask[:, 2], mask[:, 1] = False, True
    spoiled = outputs.clone()
    spoiled[:, 2 * 6 : 3 * 6] = said
    distribution = AtomCategorical(atoms)
    pairs = [
        (atoms.values(o, mask)[mask], distribution.values(o.numpy(), mask.numpy())[mask.numpy()])
        for o in (outputs, spoiled)
    ]
    assert torch.equal(pairs[0][0], pairs[1][0])
    assert np.array_equal(pairs[0][1], pairs[1][1])
    told = [distribution.describe(o.numpy(), mask.numpy()) for o in (outputs, spoiled)]
    assert np.array_equal(told[0]["probabilities"], told[1]["probabilities"])


@pytest.mark.parametrize("critic", ["none", "separate", "shared"])
@pytest.mark.parametrize("orthogonal", [False, True])
def test_a_network_puts_out_atoms_of_actions_and_of_the_state(critic, orthogonal):
    asked = []

    def make(num_outputs):
        asked.append(num_outputs)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, num_outputs))

    atoms = {"num": 6, "low": -2.0, "high": 8.0}
    space = ActionSpace.discrete(ACTIONS)
    network = ActorCritic(make, space, critic=critic, atoms=atoms, orthogonal=orthogonal)
    width = 6 * (ACTIONS + (critic == "shared"))
    assert asked == [width] + [1] * (critic == "separate")
    outputs, value = network(torch.randn(7, 3))
    assert outputs.shape == (7, width)
    assert (value is None) == (critic != "separate")
    assert network.atoms.dueling == (critic == "shared")
    assert network.atoms.values(outputs, None).shape == (7, ACTIONS)


def test_numbers_of_atoms_and_actions_that_make_no_sense_are_refused():
    for num, low, high in ((1, 0, 1), (0, 0, 1), (5, 1, 1), (5, 2, 1), (5, math.nan, 1)):
        with pytest.raises(ValueError, match=f"there are no {num} atoms"):
            Atoms(num, low, high)
    atoms = {"num": 6, "low": -2.0, "high": 8.0}
    for space in (
        ActionSpace.continuous_box((2,)),
        ActionSpace("multi_discrete", (2, 3), (0, 0), (2,)),
    ):
        with pytest.raises(ValueError, match="atoms are of one choice"):
            ActorCritic(lambda n: nn.Linear(2, n), space, atoms=atoms)
