"""torch's optimizers as they are, but without its compiler and its profiler; and how they are restored.

At their first use torch's own import `torch._dynamo`, which takes as long as `import torch`, only to tell a compiler
to leave them alone; poke compiles networks, where that is asked for, and nothing else. The functions that do so wrap
those that do the work, which are taken here from inside of them. What reports each step to the profiler, and calls
hooks, which poke has none of, takes longer than the step of a small network. The steps themselves must be torch's to
the bit.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from poke.networks.sharding import placed

_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def _unwrapped(kind: type[torch.optim.Optimizer]) -> dict[str, Any]:
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    step: Any = torch.no_grad()(inspect.unwrap(kind.step))
    step.hooked = True  # or torch would wrap it again
    return {**methods, "step": step}


Adam: type[torch.optim.Adam] = type("Adam", (torch.optim.Adam,), _unwrapped(torch.optim.Adam))
AdamW: type[torch.optim.AdamW] = type("AdamW", (torch.optim.AdamW,), _unwrapped(torch.optim.AdamW))


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restore what an optimizer has gathered, and its learning rates, but none of its other settings.

    torch's own way brings the saved weight_decay, betas, eps back, whatever this optimizer was made with, so that a
    value given anew on resume would do nothing. Learning rates are set before every step from a schedule that the
    algorithm keeps, and come back for the state to be the saved one.

    Args:
        optimizer: made with the settings that are to hold.
        state: of `state_dict`; of whole tensors, where the optimizer's parameters are shared out, see
            `poke.networks.sharding`.
    """
    own = [
        {name: value for name, value in group.items() if name not in ("params", "lr")}
        for group in optimizer.param_groups
    ]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gathered = {
        index: {
            name: placed(value, parameters[index])
            if getattr(value, "shape", None) == parameters[index].shape
            else value
            for name, value in of_one.items()
        }
        for index, of_one in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": gathered})
    for group, settings in zip(optimizer.param_groups, own, strict=True):
        group.update(settings)
