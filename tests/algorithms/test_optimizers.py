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
