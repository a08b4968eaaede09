"""From memory to a device, without keeping either waiting."""

from __future__ import annotations

import torch
from torch import Tensor


def moved(tensor: Tensor, device: str | torch.device) -> Tensor:
    """Return a tensor on a device.

    Fast path: to a GPU it goes by way of pinned memory, which is copied from while the program goes on: the copy is
    queued like the operations that are to use it, and torch keeps the pinned memory until it was made.

    Args:
        tensor: anywhere.
        device: where it is wanted.
    """
    if tensor.device.type == "cpu" and torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
