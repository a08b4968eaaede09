"""torch's optimizers as they are, but for one thing: they do not import torch's compiler.

At their first use torch's own import `torch._dynamo`, which takes as long as `import torch`, only to tell a compiler
to leave them alone; poke compiles nothing. The functions that do so wrap those that do the work, which are taken here
from inside of them.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch

_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def _unwrapped(kind: type[torch.optim.Optimizer]) -> dict[str, Any]:
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    return {**methods, "step": torch.no_grad()(inspect.unwrap(kind.step))}


Adam: type[torch.optim.Adam] = type("Adam", (torch.optim.Adam,), _unwrapped(torch.optim.Adam))
AdamW: type[torch.optim.AdamW] = type("AdamW", (torch.optim.AdamW,), _unwrapped(torch.optim.AdamW))
