"""Operators that heed masks, beside slow ones; the value of an illegal action may be anything."""

import itertools

import numpy as np
import pytest
import torch

from poke.algorithms.values import masked

HORRORS = [float("nan"), float("inf"), float("-inf"), 1e38]


def drawn(seed, spoil):
    rng = np.random.default_rng(seed)
    mask = rng.random((64, 6)) < 0.5
    mask[np.arange(64), rng.integers(6, size=64)] = True
    values = rng.normal(size=(3, 64, 6)).astype(np.float32)
    values[:, ~mask] = spoil
    return torch.from_numpy(values), torch.from_numpy(mask)


@pytest.mark.parametrize(("seed", "spoil"), list(itertools.product(range(3), HORRORS)))
def test_illegal_actions_count_for_nothing(seed, spoil):
    values, mask = drawn(seed, spoil)
    probabilities = torch.where(mask, torch.rand(64, 6), 0.0)
    found = {
        "max": masked.legal_max(values, mask),
        "logsumexp": masked.legal_logsumexp(values, mask),
        "mean": masked.legal_mean(values, mask),
        "expectation": masked.expectation(probabilities, values, mask),
    }
    best = masked.legal_argmax(values, mask)
    for critic, row in itertools.product(range(3), range(64)):
        legal = values[critic, row][mask[row]].double()
        wanted = {
            "max": legal.max(),
            "logsumexp": legal.exp().sum().log(),
            "mean": legal.mean(),
            "expectation": (legal * probabilities[row][mask[row]].double()).sum(),
        }
        for name, value in wanted.items():
            torch.testing.assert_close(
                found[name][critic, row], value.float(), rtol=1e-4, atol=1e-5
            )
        assert mask[row, best[critic, row]]
        assert values[critic, row, best[critic, row]] == legal.max()


def test_chosen_values_are_those_of_the_actions():
    values = torch.arange(24.0).view(2, 3, 4)
    assert masked.chosen(values, torch.tensor([0, 3, 1])).tolist() == [[0, 7, 9], [12, 19, 21]]
