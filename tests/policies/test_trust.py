"""Loading never runs a stranger's code."""

import contextlib
import importlib
import pkgutil
import sys

import pytest
import torch

import poke.networks
from poke.networks.auto import auto_network
from poke.networks.mlp import MLP as MLPNetwork
from poke.policies.building import build, construct, describe
from poke.policies.export import safetensors
from poke.policies.loading import SavedPolicy, build_saved
from poke.policies.policy import PolicyError
from poke.policies.trust import resolve

from .kinds import DISCRETE, MLP, VECTOR

# Each makes the file `marker`, or could, if it were called.
HOSTILE = {
    "os.system": {"command": "touch marker"},
    "builtins.eval": {"_args_": ["open('marker', 'w')"]},
    "builtins.exec": {"_args_": ["open('marker', 'w')"]},
    "builtins.open": {"file": "marker", "mode": "w"},
    "subprocess.run": {"args": ["touch", "marker"]},
    "pathlib.Path.touch": {"_args_": ["marker"]},
    "torch.load": {"f": "marker"},
    "torch.hub.load": {"repo_or_dir": "marker", "model": "x"},
    "torch.save": {"obj": 1, "f": "marker"},
    "torch.nn.modules.module.os.system": {"_args_": ["touch marker"]},
    "torch.nn.modules.module.warnings.sys.modules": {},
    "torch.nn.parallel.data_parallel.torch.save": {"obj": 1, "f": "marker"},
    "torch.nn.Module.__class__": {"_args_": ["X", [], {}]},
    "torch.nn.Linear.__init__.__globals__": {},
    "torch.nn.Embedding.from_pretrained": {"embeddings": 1},
    "torch.nn.init.normal_": {"tensor": 1},
    "torch.nn.utils.clip_grad_norm_": {"parameters": []},
    "torch.nn.parameter.Parameter": {},
    "torch.nn._reduction.get_enum": {"reduction": "mean"},
    "torch.nnx.Linear": {},
    "torch.nn..Linear": {},
    "torch.nn": {},
    "poke.networks.mlp.math.prod": {"_args_": [[1]]},
    "poke.networks.mlp.MLP.forward": {},
    "poke.networks.encoding.layout.dense_scale": {"layout": {}},
    "poke.networks.flat.flatten_parameters": {"module": 1},
    "poke.networks.mlp.ACTIVATIONS.get": {"_args_": ["relu"]},
    "poke.networks.actor_critic._initialize": {"network": 1, "head_gains": []},
    "poke.networks.numpy_mlp.NumpyMLP": {"network": 1, "batch_size": 1},
    "poke.run.telling.alert.Alert": {"command": "touch marker"},
    "poke.training.checkpointing.CheckpointManager": {"checkpoint_dir": "marker"},
    "poke.load": {"path": "."},
    "hydra.utils.instantiate": {"config": {"_target_": "os.system", "command": "touch marker"}},
    "stranger.Network": {},
}
# Every place a node can stand in.
PLACES = {
    "network": lambda node: node,
    "an argument": lambda node: {**MLP, "hidden_sizes": node},
    "within a list": lambda node: {**MLP, "hidden_sizes": [16, node]},
    "within arguments": lambda node: {**MLP, "layout": {"groups": [{"deep": [node]}]}},
    "positional": lambda node: {"_target_": "torch.nn.Sequential", "_args_": [node]},
    "in part": lambda node: {**MLP, "activation": {**node, "_partial_": True}},
    "not recursive": lambda node: {**MLP, "_recursive_": False, "hidden_sizes": [node]},
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder with a module that tells when it is imported."""
    (tmp_path / "stranger.py").write_text("open('marker', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("stranger", None)


def described(network):
    return describe(network, VECTOR, DISCRETE, critic="none", masked=False, observation_clip=None)


def refused(path, target, **options):
    with pytest.raises(PolicyError) as raised:
        poke.load(path, **options)
    assert target in str(raised.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("target", HOSTILE)
def test_nothing_that_is_not_a_network_is_called(elsewhere, target, place):
    network = PLACES[place]({"_target_": target, **HOSTILE[target]})
    state = {"description": described(network), "network": {}, "normalizer": None}
    (elsewhere / "policy.safetensors").write_bytes(safetensors.to_bytes(state, {}))
    before = set(elsewhere.iterdir())
    refused("policy.safetensors", target)
    assert set(elsewhere.iterdir()) == before
    # Whoever calls the deeper function is no less safe.
    with pytest.raises(PolicyError):
        construct(network)
    assert not (elsewhere / "marker").exists()


@pytest.mark.parametrize("field", ["observation_space", "action_space", "critic", "masked"])
def test_elsewhere_in_a_description_a_target_means_nothing(elsewhere, field):
    node = {"_target_": "os.system", "command": "touch marker"}
    description = {**described(MLP), field: node}
    state = {"description": description, "network": {}, "normalizer": None}
    (elsewhere / "policy.safetensors").write_bytes(safetensors.to_bytes(state, {}))
    refused("policy.safetensors", "policy.safetensors")
    assert not (elsewhere / "marker").exists()


@pytest.mark.parametrize("target", [None, 3, ["os.system"], {"_target_": "os.system"}])
def test_a_target_that_is_no_name_is_refused(target):
    with pytest.raises(PolicyError):
        build(described({"_target_": target}))


@pytest.mark.parametrize("target", ["os.system", "torch.load", "poke.load", "hydra.utils.call"])
def test_nobody_is_told_to_trust_what_runs_anything(target):
    with pytest.raises(PolicyError) as raised:
        build(described({"_target_": target}))
    assert "trust=" not in str(raised.value)


MINE = """
import torch

class Network(torch.nn.Module):
    def __init__(self, *, num_outputs, inner):
        super().__init__()
        self.layers = torch.nn.Sequential(inner, torch.nn.Linear(3, num_outputs))

    def forward(self, observation):
        return self.layers(observation)
"""


@pytest.mark.parametrize("trust", ["mine", ["mine"], ("other", "mine.networks")])
def test_trust_lets_ones_own_network_load(elsewhere, trust):
    (elsewhere / "mine").mkdir()
    (elsewhere / "mine" / "__init__.py").write_text("")
    (elsewhere / "mine" / "networks.py").write_text(MINE)
    inner = {"_target_": "torch.nn.Linear", "_args_": [4, 3]}
    description = described({"_target_": "mine.networks.Network", "inner": inner})
    try:
        policy = build(description, trust=("mine",))
        (elsewhere / "policy.safetensors").write_bytes(safetensors.to_bytes(policy.get_state(), {}))
        said = refused("policy.safetensors", "mine.networks.Network")
        assert said.endswith("trust=[mine] lets it be built, if you know where it comes from")
        refused("policy.safetensors", "mine.networks.Network", trust=["min", "mine.network"])
        loaded = poke.load("policy.safetensors", trust=trust)
        assert loaded.act([1.0, 0, 0, 2]) == policy.act([1.0, 0, 0, 2])
    finally:
        for name in ("mine", "mine.networks"):
            sys.modules.pop(name, None)


def test_trusting_a_package_trusts_nothing_else(elsewhere):
    node = {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "stranger.Network"}]}
    state = {"description": described(node), "network": {}, "normalizer": None}
    (elsewhere / "policy.safetensors").write_bytes(safetensors.to_bytes(state, {}))
    refused("policy.safetensors", "stranger.Network", trust=["strange", "stranger_still", "mine"])
    assert not (elsewhere / "marker").exists()
    refused("policy.safetensors", "stranger.Network", trust=["stranger"])  # it has no such class
    assert (elsewhere / "marker").exists()


def test_what_hydra_builds_is_built_alike():
    node = {
        "_target_": "torch.nn.Sequential",
        "_args_": [
            {"_target_": "torch.nn.Linear", "in_features": 4, "out_features": 3, "bias": False},
            {"_target_": "torch.nn.ReLU", "_convert_": "all"},
        ],
    }
    network = construct(node)
    assert [type(m) for m in network] == [torch.nn.Linear, torch.nn.ReLU]
    assert network[0].bias is None


def test_a_network_that_cannot_be_built_is_one_line(tmp_path):
    network = {**MLP, "activation": "none\nsuch"}
    state = {"description": described(network), "network": {}, "normalizer": None}
    with pytest.raises(PolicyError) as raised:
        build_saved(SavedPolicy(tmp_path, state, {}))
    assert "poke.networks.mlp.MLP cannot be built" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_of_all_that_stands_in_poke_networks_only_networks_are_made():
    found = set()
    for module in pkgutil.iter_modules(poke.networks.__path__, "poke.networks."):
        for name in dir(importlib.import_module(module.name)):
            with contextlib.suppress(PolicyError):
                found.add(resolve(f"{module.name}.{name}", ()))
    assert MLPNetwork in found
    assert auto_network in found
    for made in found - {auto_network}:
        assert issubclass(made, torch.nn.Module)
