import pytest
import torch
from torch import nn

from poke.envs.showdown.layout import describe
from poke.networks.auto import auto_network
from poke.networks.fitting import MisfitError, check
from poke.spaces import ObservationSpace

SIZES = {
    "hidden_sizes": [8],
    "activation": "relu",
    "picture_size": 8,
    "embedding_size": 2,
    "entity_size": 8,
    "battle_size": 8,
}
SPACE = ObservationSpace.box((4,))


class Computing(nn.Module):
    def __init__(self, compute):
        super().__init__()
        self.compute = compute

    def forward(self, observation):
        return self.compute(observation)


class Forgetful(nn.Module):
    state_size = 3

    def step(self, observation, state):
        return observation[:, :2], state[:, :1]


def failing(observation):
    raise RuntimeError("a message\nof two lines")


@pytest.mark.parametrize("memory", [None, "gru", "lstm"])
@pytest.mark.parametrize("seed", range(6))
def test_poke_s_own_fit(seed, memory, make_space):
    space = make_space(seed)
    network = auto_network(observation_space=space, num_outputs=3, memory=memory, **SIZES)
    check(network, space, 3)


@pytest.mark.parametrize("num_outputs", [10, 11])
def test_networks_of_battles_fit(num_outputs):
    layout = describe(1)
    space = ObservationSpace.box((layout["size"],), "int8", layout=layout)
    network = auto_network(observation_space=space, num_outputs=num_outputs, **SIZES)
    check(network, space, num_outputs)


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (nn.Linear(4, 3), r"^Linear puts out \[batch, 3\], not \[batch, 2\]$"),
        (nn.Linear(5, 2), r"^Linear does not take observations of float32 \[4\]: mat1 and mat2"),
        (nn.Conv2d(1, 2, 3), "^Conv2d does not take observations of"),
        (Computing(failing), r"float32 \[4\]: a message of two lines$"),
        (Computing(lambda x: x.mean()), r"^Computing puts out \[\], not \[batch, 2\]$"),
        (Computing(lambda x: x[:1, :2]), r"^Computing puts out \[1, 2\], not"),
        (Computing(lambda x: (x, x)), r"^Computing puts out a tuple, not a tensor \[batch, 2\]$"),
        (Forgetful(), r"^Forgetful remembers \[batch, 1\], not \[batch, 3\]$"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(network, line):
    with pytest.raises(MisfitError, match=line) as caught:
        check(network, SPACE, 2)
    assert "\n" not in str(caught.value)


def test_nothing_of_a_network_changes():
    normalised = nn.BatchNorm1d(4)
    network = nn.Sequential(normalised, nn.Linear(4, 2), nn.Dropout(), Computing(torch.rand_like))
    network[2].eval()
    before, drawn = torch.get_rng_state(), normalised.running_var.clone()
    check(network, SPACE, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(normalised.running_var, drawn)
    assert [module.training for module in network] == [True, True, False, True]
