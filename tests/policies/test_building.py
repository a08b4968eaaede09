"""A description says what a policy's network puts out, and those of older policies go on meaning what they did."""

import json

import numpy as np
import pytest
import torch

import poke
from poke.networks.noisy import NoisyLinear
from poke.policies.building import build, describe
from poke.policies.export import safetensors
from poke.policies.policy import PolicyError
from poke.spaces import ActionSpace

from .kinds import ATOMS, DISCRETE, KINDS, MLP, VECTOR, masks_of, observations_of, policy_of

OLD = {"network", "observation_space", "action_space", "critic", "masked", "observation_clip"}
NEW = [kind for kind, made in KINDS.items() if made[3].keys() & {"std", "atoms", "noisy"}]
BOX = ActionSpace.continuous_box((2,), -1, 1)


def described(space=DISCRETE, **options):
    values = {"critic": "none", "masked": False, "observation_clip": None, **options}
    return describe(MLP, VECTOR, space, **values)


def test_what_is_as_it_always_was_is_not_said():
    assert described().keys() == OLD
    assert described(std="parameter", atoms=None, noisy=False) == described()
    said = described(BOX, std="network")
    assert said.keys() - OLD == {"std"}
    said = described(atoms=ATOMS, noisy=True)
    assert said.keys() - OLD == {"atoms", "noisy"}
    assert json.loads(json.dumps(said)) == said


def test_older_descriptions_are_built_as_they_were():
    network = build(described(BOX, critic="separate")).network
    assert network.log_std is not None
    assert network.atoms is None
    assert not any(isinstance(m, NoisyLinear) for m in network.modules())


@pytest.mark.parametrize("kind", NEW)
def test_a_policy_is_built_of_its_description_alone_and_tells_the_same(kind, tmp_path):
    policy = policy_of(kind)
    file = tmp_path / "policy.safetensors"
    file.write_bytes(safetensors.to_bytes(policy.get_state(), {}))
    loaded = poke.load(file, seed=1)
    seen, mask = observations_of(policy, 50), masks_of(policy, 50)
    for explore in (False, True):
        pair = [
            p.act(seen, action_mask=mask, explore=explore, return_info=True)
            for p in (policy, loaded)
        ]
        assert np.array_equal(pair[0][0], pair[1][0])
        assert pair[0][1].keys() == pair[1][1].keys()
        for name, value in pair[0][1].items():
            assert np.array_equal(value, pair[1][1][name])
            assert np.isfinite(value).all()
    space = policy.action_space
    if mask is not None:
        assert (pair[0][1]["probabilities"][~mask] == 0).all()
        assert mask[np.arange(50), pair[0][0] - space.starts[0]].all()


@pytest.mark.parametrize("kind", [kind for kind in NEW if KINDS[kind][0] is MLP])
def test_small_networks_are_computed_in_numpy_as_torch_does(kind):
    policy, by_torch = policy_of(kind), policy_of(kind)
    by_torch.use_torch()
    seen, mask = observations_of(policy, 200), masks_of(policy, 200)
    found = [p.act(seen, action_mask=mask, return_info=True) for p in (policy, by_torch)]
    assert policy._inference._by_numpy is not None
    assert by_torch._inference._by_numpy is None
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4, atol=1e-5)
    for name, value in found[0][1].items():
        np.testing.assert_allclose(value, found[1][1][name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in NEW if KINDS[kind][3].get("noisy")])
def test_a_noisy_policy_acts_by_its_means(kind):
    policy, quiet = policy_of(kind), policy_of(kind)
    with torch.no_grad():
        for name, parameter in quiet.network.named_parameters():
            if name.endswith("_std"):
                parameter.zero_()
    seen, mask = observations_of(policy, 100), masks_of(policy, 100)
    for _ in range(2):
        acted = [p.act(seen, action_mask=mask) for p in (policy, quiet)]
        assert np.array_equal(*acted)


def test_a_description_of_atoms_that_make_no_sense_is_no_policy(tmp_path):
    state = policy_of("atoms").get_state()
    for atoms in ({"num": 1, "low": 0, "high": 1}, {"num": 11}, 3):
        broken = {**state, "description": {**state["description"], "atoms": atoms}}
        file = tmp_path / "policy.safetensors"
        file.write_bytes(safetensors.to_bytes(broken, {}))
        with pytest.raises(PolicyError, match="holds no policy"):
            poke.load(file)
