"""What a critic's outputs say of values, and how far they are from targets."""

import pytest
import torch

from poke.algorithms.values.heads import Heads, expectile_weight, symexp, symlog


def test_outputs_without_bins_are_the_values():
    heads = Heads([0.9, 0.99])
    outputs, target = torch.randn(5, 7, 2), torch.randn(5, 7, 2)
    assert heads.size == 2
    assert torch.equal(heads.read(outputs), outputs)
    torch.testing.assert_close(heads.loss(outputs, target), 0.5 * (outputs - target) ** 2)


def test_huber_is_linear_beyond_one():
    heads = Heads([0.9], loss="huber")
    error = torch.tensor([[0.5], [-3.0]])
    assert heads.loss(error, torch.zeros(2, 1)).tolist() == [[0.125], [2.5]]


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-20.0, 500.0), (0.0, 3.0)])
def test_two_hot_targets_have_the_target_as_their_mean(low, high):
    heads = Heads([0.9, 0.99, 1.0], bins=41, low=low, high=high)
    target = torch.rand(100, 3) * (high - low) + low
    weights = heads.two_hot(target)
    assert weights.shape == (100, 3, 41)
    assert ((weights > 0).sum(dim=-1) <= 2).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(100, 3))
    means = symexp((weights * heads.support).sum(dim=-1))
    torch.testing.assert_close(means, target, rtol=1e-3, atol=1e-3)
    beyond = heads.two_hot(torch.tensor([[low - 50, high + 50, low]]))
    assert beyond[0, 0, 0] == beyond[0, 1, -1] == beyond[0, 2, 0] == 1


def test_a_distribution_that_learned_its_targets_reads_as_their_mean():
    heads = Heads([0.9], bins=31, low=-5, high=5)
    outputs = torch.zeros(4, 31, requires_grad=True)
    target = torch.tensor([[-4.0], [0.0], [0.3], [4.9]])
    optimizer = torch.optim.Adam([outputs], lr=0.3)
    for _ in range(400):
        optimizer.zero_grad()
        heads.loss(outputs, target).sum().backward()
        optimizer.step()
    torch.testing.assert_close(heads.read(outputs.detach()), target, rtol=0.05, atol=0.05)


def test_symexp_undoes_symlog():
    values = torch.linspace(-1000, 1000, 77)
    torch.testing.assert_close(symexp(symlog(values)), values, rtol=1e-4, atol=1e-4)


def test_expectile_weights_are_those_of_the_equation():
    assert expectile_weight(torch.tensor([-2.0, 3.0]), 0.9).tolist() == pytest.approx([0.1, 0.9])


@pytest.mark.parametrize("target", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_shows_in_the_loss_alone(target):
    heads = Heads([0.9, 0.5], bins=11, low=-2, high=2)
    loss = heads.loss(
        torch.zeros(3, heads.size), torch.tensor([[0.5, 1.0], [target, 1.0], [0.0, 2.0]])
    )
    assert loss.isfinite().tolist() == [[True, True], [False, True], [True, True]]
