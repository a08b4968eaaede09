"""Starting from another run's weights."""

import numpy as np
import pytest
import torch

from poke.networks.actor_critic import ActorCritic
from poke.networks.mlp import MLP
from poke.policies.distributions import DiagonalGaussian, StateGaussian
from poke.run.warmstart import WarmStartError, by_state, fit
from poke.spaces import ActionSpace

SPACE = ActionSpace.continuous_box((2,), -1, 1, bounds="squash")


def network(std, hidden=(8,)):
    def make(num_outputs):
        return MLP(observation_shape=(3,), num_outputs=num_outputs, hidden_sizes=hidden)

    return ActorCritic(make, SPACE, std=std, log_std=-0.7)


@pytest.mark.parametrize("hidden", [(8,), (), (8, 8)])
def test_a_policy_whose_deviation_depends_on_the_state_starts_as_the_one_whose_did_not(hidden):
    cloned, new = network("parameter", hidden), network("network", hidden)
    with torch.no_grad():
        cloned.log_std.copy_(torch.tensor([-0.2, 0.4]))
    own, theirs = new.get_weights(), cloned.get_weights()
    match = fit(own, by_state(own, theirs), strict=True)
    assert (match.missing, match.unused, match.misshapen) == ([], [], [])
    new.set_weights(match.taken)
    seen = torch.randn(50, 3)
    with torch.no_grad():
        outputs = new(seen)[0].numpy(), cloned(seen)[0].numpy()
    described = StateGaussian().describe(outputs[0], None)
    expected = DiagonalGaussian(cloned.log_std).describe(outputs[1], None)
    for name in ("mean", "std"):
        np.testing.assert_allclose(described[name], expected[name], rtol=1e-6)


def test_weights_of_the_same_kind_are_left_as_they_are():
    for std in ("parameter", "network"):
        own, theirs = network(std).get_weights(), network(std).get_weights()
        given = by_state(own, theirs)
        assert given.keys() == theirs.keys()
        assert all(given[name] is theirs[name] for name in theirs)


def test_another_network_is_refused_as_ever():
    own, theirs = network("network", (16,)).get_weights(), network("parameter").get_weights()
    with pytest.raises(WarmStartError, match=r"init_from\.strict=false leaves it out"):
        fit(own, by_state(own, theirs), strict=True)
