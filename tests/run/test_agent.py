"""What an agent makes of a config before it learns."""

import pytest
import torch

from poke.config import composing
from poke.config.knobs import ConfigError
from poke.networks.computing import is_plain
from poke.run.agent import Agent

SMALL = ("algo=ppo", "network=mlp", "network.hidden_sizes=[4]", "device=cpu")


def agent(*overrides):
    return Agent(composing.to_plain(composing.compose("train", [*SMALL, *overrides])))


@pytest.fixture(autouse=True)
def left_as_found():
    yield
    torch.use_deterministic_algorithms(False)


def test_what_may_differ_between_two_times_is_forbidden_where_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # one's own stays
    agent("trainer.deterministic=true")
    assert torch.are_deterministic_algorithms_enabled()
    agent()
    assert not torch.are_deterministic_algorithms_enabled()


def test_every_network_computes_as_asked_and_copies_of_policies_too():
    mixed = agent("trainer.precision=bf16-mixed")
    learner = mixed.algorithm.policy
    for policy in (learner, mixed.copy_policy(learner.get_state())):
        assert not is_plain(policy.network.policy)
        assert not is_plain(policy.network.critic)
    assert is_plain(agent().algorithm.policy.network.policy)


def test_an_algorithm_that_computes_gradients_at_once_says_so():
    with pytest.raises(ConfigError, match=r"SAC computes a minibatch's gradient at once: trainer"):
        agent("algo=sac", "env=pendulum", "trainer.accumulate=2")


def test_a_copy_of_a_policy_is_its_own_and_moves_no_random_state_of_training():
    made = agent()
    learner = made.algorithm.policy
    before = torch.get_rng_state()
    copies = [made.copy_policy(learner.get_state()) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    weights = [dict(policy.network.named_parameters()) for policy in (learner, *copies)]
    for name, weight in weights[0].items():
        assert torch.equal(weights[1][name], weight)
        assert len({own[name].data_ptr() for own in weights}) == 3
