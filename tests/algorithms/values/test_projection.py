"""The projection of C51 beside its equation, written slowly."""

import math

import pytest
import torch

from poke.algorithms.values.projection import cross_entropy, divergence, project
from poke.networks.atoms import Atoms

BATCH = 40


def drawn(seed, num):
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(BATCH, num, generator=generator).mul(2).softmax(dim=1)
    rewards = 4 * torch.randn(BATCH, generator=generator)
    discount = torch.rand(BATCH, generator=generator)
    discount[::4] = 0  # where nothing comes after
    rewards[:8] = 0
    return probabilities, rewards, discount


def slow(atoms, probabilities, rewards, discount):
    """Algorithm 1 of the paper, with its floors and ceilings."""
    width = (atoms.high - atoms.low) / (atoms.num - 1)
    found = torch.zeros(len(rewards), atoms.num, dtype=torch.float64)
    for row in range(len(rewards)):
        for j in range(atoms.num):
            moved = float(rewards[row]) + float(discount[row]) * (atoms.low + j * width)
            place = (min(atoms.high, max(atoms.low, moved)) - atoms.low) / width
            below, above = math.floor(place), math.ceil(place)
            p = float(probabilities[row, j])
            if below == above:  # the paper's algorithm loses these
                found[row, below] += p
            else:
                found[row, below] += p * (above - place)
                found[row, above] += p * (place - below)
    return found.float()


@pytest.mark.parametrize(("num", "low", "high"), [(2, 0, 1), (11, -3, 7), (51, -10, 10), (7, 0, 100)])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_a_projection_is_that_of_the_equation(num, low, high, seed):
    atoms, given = Atoms(num, low, high), drawn(seed, num)
    found = project(atoms, *given)
    torch.testing.assert_close(found, slow(atoms, *given), rtol=1e-4, atol=1e-5)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(dim=1), torch.ones(BATCH), rtol=1e-4, atol=1e-5)


def test_the_mean_is_kept_where_no_return_leaves_the_atoms():
    atoms = Atoms(11, -20, 20)
    probabilities, rewards, discount = drawn(0, 11)
    probabilities[:, :3] = probabilities[:, -3:] = 0
    probabilities /= probabilities.sum(dim=1, keepdim=True)
    rewards = rewards.clamp(-8, 8)
    found = project(atoms, probabilities, rewards, discount) @ atoms.support
    expected = rewards + discount * (probabilities @ atoms.support)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_hidden(bad):
    atoms, (probabilities, rewards, discount) = Atoms(11, -3, 7), drawn(0, 11)
    rewards[5] = bad
    found = project(atoms, probabilities, rewards, discount)
    assert found[5].isnan().all()
    assert found[[r for r in range(BATCH) if r != 5]].isfinite().all()


def test_losses_are_those_of_torch():
    target, log_probs = drawn(0, 9)[0], drawn(1, 9)[0].log()
    sure = torch.eye(9)[:5]
    for p in (target, torch.cat([sure, target[5:]])):
        expected = torch.nn.functional.kl_div(log_probs, p, reduction="none").sum(dim=1)
        torch.testing.assert_close(divergence(p, log_probs), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            cross_entropy(p, log_probs), torch.nn.functional.cross_entropy(log_probs, p, reduction="none")
        )  # fmt: skip
    assert (divergence(target, target.log()) < 1e-5).all()
