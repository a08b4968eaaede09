"""Networks whose weights are shared out among processes.

Each keeps a part of every tensor, and what goes with that part of gradients and of what the optimizer gathers.

Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel", VLDB 2023; torch calls what is here
`fully_shard`. A part of the network has its weights whole only while it computes; gradients come back as each process's
part of their mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from poke.networks.computing import METHODS

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

# Weights from so many on are brought together by themselves, just before they compute, and let go of just after; the
# rest of a network together, since each time takes a message.
LARGE = 1 << 20


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Share out a network's weights, in place: its parameters are DTensors from now on.

    Args:
        network: the same in every process; of its `METHODS` none calls another, as of an `ActorCritic`. Large layers
            (`LARGE`) are to be called, and their weights not read, but within blocks that say so, whose weights come
            with the rest.
        mesh: the processes.
    """
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    # A view is not to be changed in place, and nobody changes what an `ActorCritic` puts out.
    warnings.filterwarnings("ignore", r"FSDP2-wrapped module \(FSDPActorCritic\)", UserWarning)
    for unit in _units(network):
        fully_shard(unit, mesh=mesh)
    fully_shard(network, mesh=mesh)
    for name in METHODS:
        if name != "forward" and hasattr(network, name):
            register_fsdp_forward_method(network, name)


def _units(network: nn.Module) -> Iterator[nn.Module]:
    """Yield what is large enough to be brought together by itself, the innermost such."""
    for module in network.children():
        if getattr(module, "reads_weights", False):  # which no call of a layer would bring together
            continue
        if sum(p.numel() for p in module.parameters(recurse=False)) >= LARGE:
            yield module
        yield from _units(module)


@contextmanager
def whole(network: nn.Module) -> Iterator[None]:
    """Within this a network's weights are whole in every process, and computing exchanges nothing.

    All processes enter and leave together; in between each computes as often as it likes, without gradients.
    """
    from torch.distributed.fsdp import FSDPModule

    units = [m for m in network.modules() if isinstance(m, FSDPModule)]
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    try:
        yield
    finally:
        for unit in units:
            unit.reshard()
            # As torch has it by itself: what all of a network needs stays until its gradients were computed.
            unit.set_reshard_after_forward(unit is not network, recurse=False)


def placed(value: Any, like: Tensor) -> Any:
    """Return a tensor shared out as another one is; as it stands if that one is whole, or it is shared out already.

    Args:
        value: whole, the same in every process, each of which keeps its part; nothing is exchanged.
        like: of the same shape.
    """
    mesh: Any = getattr(like, "device_mesh", None)
    if mesh is None or getattr(value, "device_mesh", None) is not None:
        return value
    from torch.distributed.tensor import distribute_tensor

    where = cast(Any, like).placements
    return distribute_tensor(value.to(like.device), mesh, where, src_data_rank=None)
