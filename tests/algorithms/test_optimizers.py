import copy
import subprocess
import sys

import pytest
import torch

from poke.algorithms import optimizers

OPTIONS = {"lr": 0.1, "fused": True}


def train(kind, num_updates, state=None):
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(5))
    optimizer = kind([parameter], **OPTIONS)
    if state is not None:
        optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        parameter.data.copy_(state["parameter"])
    for _ in range(num_updates):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
        assert not parameter.grad.requires_grad
    return {"parameter": parameter.detach(), "optimizer": optimizer.state_dict()}


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_they_do_what_torchs_do_and_exchange_states_with_them(name):
    ours, theirs = getattr(optimizers, name), getattr(torch.optim, name)
    assert issubclass(ours, theirs)
    a, b = train(ours, 4), train(theirs, 4)
    assert torch.equal(a["parameter"], b["parameter"])
    assert a["optimizer"]["param_groups"] == b["optimizer"]["param_groups"]
    half = train(theirs, 2)
    assert torch.equal(train(ours, 2, half)["parameter"], a["parameter"])


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_they_import_no_compiler(name):
    code = (
        "import sys, torch; from poke.algorithms import optimizers; "
        f"p = torch.nn.Parameter(torch.ones(3)); o = optimizers.{name}([p], fused=True); "
        "p.sum().backward(); o.step(); o.zero_grad(); o.load_state_dict(o.state_dict()); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def optimizer(name, **options):
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(5))
    made = getattr(optimizers, name)([parameter], **{"lr": 0.1, "fused": True, **options})
    return parameter, made


def step(parameter, made):
    made.zero_grad()
    (parameter**2).sum().backward()
    made.step()


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_a_restored_optimizer_keeps_the_settings_it_was_made_with(name):
    parameter, made = optimizer(name, weight_decay=0.1)
    step(parameter, made)
    made.param_groups[0]["lr"] = 0.05
    state = copy.deepcopy(made.state_dict())
    given = {"weight_decay": 0.5, "betas": (0.5, 0.6), "eps": 1e-3}
    other_parameter, other = optimizer(name, lr=7.0, **given)
    other_parameter.data.copy_(parameter.data)
    optimizers.restore_optimizer(other, state)
    group = other.param_groups[0]
    assert {key: group[key] for key in given} == given
    assert group["lr"] == 0.05
    assert torch.equal(other.state[other_parameter]["exp_avg"], made.state[parameter]["exp_avg"])
    step(parameter, made)
    step(other_parameter, other)
    assert not torch.equal(parameter, other_parameter)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_an_unchanged_optimizer_is_restored_to_the_very_state(name):
    parameter, made = optimizer(name, weight_decay=0.1, betas=(0.8, 0.9))
    step(parameter, made)
    made.param_groups[0]["lr"] = 0.05
    state = copy.deepcopy(made.state_dict())
    _, other = optimizer(name, weight_decay=0.1, betas=(0.8, 0.9))
    optimizers.restore_optimizer(other, state)
    again = other.state_dict()
    assert again["param_groups"] == state["param_groups"]
    assert again["state"].keys() == state["state"].keys()
    for key, value in state["state"][0].items():
        assert torch.equal(again["state"][0][key], value)
