"""Gradient steps of several networks: all of them or none."""

import copy

import pytest
import torch
from torch import nn

from poke.algorithms.descent import Descent, frozen
from poke.protocols import NonFiniteError


def networks():
    torch.manual_seed(0)
    return {"a": nn.Linear(3, 2), "b": nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))}


def losses(made, batch):
    return {"a_loss": made["a"](batch).square().mean(), "b_loss": made["b"](batch).abs().mean()}


def weights(made):
    return {name: [p.detach().clone() for p in made[name].parameters()] for name in made}


def test_it_steps_as_torchs_adam_of_each():
    made, others = networks(), networks()
    descent = Descent(made, lr={"a": 1e-2, "b": 1e-3})
    adams = [
        torch.optim.Adam(others["a"].parameters(), 1e-2),
        torch.optim.Adam(others["b"].parameters(), 1e-3),
    ]
    for step in range(5):
        batch = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        descent.step(losses(made, batch))
        for adam in adams:
            adam.zero_grad()
        sum(losses(others, batch).values()).backward()
        for adam in adams:
            adam.step()
    for name in made:
        torch.testing.assert_close(weights(made)[name], weights(others)[name])


def test_each_network_is_clipped_alone():
    made = networks()
    descent = Descent(made, lr={"a": 1.0, "b": 1.0}, max_grad_norm=0.1)
    told = descent.step({"loss": 100 * sum(losses(made, torch.ones(2, 3)).values())})
    assert told["grad_norm"] > 1
    for flat in descent.flat.values():
        assert flat.grad.norm() == pytest.approx(0.1, rel=1e-3)


def test_only_those_named_move():
    made = networks()
    descent = Descent(made, lr={"a": 1e-2, "b": 1e-2})
    descent.step(losses(made, torch.ones(2, 3)))
    before = copy.deepcopy((weights(made), descent.get_state()))
    descent.step(losses(made, torch.ones(2, 3)), only=["a"])
    after = weights(made)
    assert all(torch.equal(x, y) for x, y in zip(before[0]["b"], after["b"], strict=True))
    assert not torch.equal(before[0]["a"][0], after["a"][0])
    gathered = before[1]["optimizer"]["state"][1], descent.get_state()["optimizer"]["state"][1]
    assert all(torch.equal(gathered[0][k], gathered[1][k]) for k in gathered[0])
    descent.step(losses(made, torch.ones(2, 3)))  # and the other goes on as before
    assert not torch.equal(after["b"][0], weights(made)["b"][0])


@pytest.mark.parametrize("spoil", ["a_loss", "b_loss", "gradient"])
def test_what_is_not_finite_moves_nothing(spoil):
    made = networks()
    descent = Descent(made, lr={"a": 1e-2, "b": 1e-2})
    descent.step(losses(made, torch.ones(2, 3)))
    before = copy.deepcopy((weights(made), descent.get_state()))
    told = losses(made, torch.ones(2, 3))
    if spoil == "gradient":  # a finite loss with a gradient that is not
        told["a_loss"] = told["a_loss"] + (made["a"].weight.sum() * 0).sqrt()
    else:
        told[spoil] = told[spoil] * float("nan")
    with pytest.raises(NonFiniteError, match="grad_norm" if spoil == "gradient" else spoil):
        descent.step(told)
    for name in made:
        for old, new in zip(before[0][name], weights(made)[name], strict=True):
            assert torch.equal(old, new)
    state = descent.get_state()
    assert state["num_steps"] == 1
    for old, new in zip(
        before[1]["optimizer"]["state"].values(), state["optimizer"]["state"].values(), strict=True
    ):
        assert all(torch.equal(old[k], new[k]) for k in old)


@pytest.mark.parametrize(
    ("schedule", "half"), [("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)]
)
def test_rates_follow_their_schedule(schedule, half):
    made = networks()
    descent = Descent(made, lr={"a": 1e-2, "b": 1e-3}, schedule=schedule, schedule_steps=4)
    rates = []
    for _ in range(6):
        rates.append(descent.rate())
        descent.step(losses(made, torch.ones(2, 3)))
    assert rates[0] == 1
    assert rates[2] == pytest.approx(half)
    assert rates[-1] == (1 if schedule == "constant" else 0)


def test_a_restored_descent_goes_on_as_if_nothing_had_been():
    made = networks()
    descent = Descent(made, lr={"a": 1e-2, "b": 1e-2}, schedule="linear", schedule_steps=10)
    for _ in range(3):
        descent.step(losses(made, torch.ones(2, 3)))
    state, modules = (
        copy.deepcopy(descent.get_state()),
        {n: m.state_dict() for n, m in made.items()},
    )
    modules = copy.deepcopy(modules)
    descent.step(losses(made, torch.ones(2, 3)))
    others = networks()
    other = Descent(others, lr={"a": 1e-2, "b": 1e-2}, schedule="linear", schedule_steps=10)
    other.set_state(state)
    for name, module in others.items():
        module.load_state_dict(modules[name])
    other.step(losses(others, torch.ones(2, 3)))
    for name in made:
        for a, b in zip(weights(made)[name], weights(others)[name], strict=True):
            assert torch.equal(a, b)


def test_gradients_lead_through_what_is_frozen_but_not_to_it():
    critic, actor = nn.Linear(2, 1), nn.Linear(3, 2)
    with frozen(critic):
        value = critic(actor(torch.ones(1, 3)))
    value.backward()
    assert critic.weight.grad is None
    assert actor.weight.grad is not None
    critic(torch.ones(1, 2)).backward()
    assert critic.weight.grad is not None
