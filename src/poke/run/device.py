"""The device that a run computes on, and how strictly it repeats there."""

from __future__ import annotations

import os

import torch
from threadpoolctl import threadpool_limits

from poke.config.knobs import ConfigError


def device_of(name: str, local_rank: int | None = None) -> torch.device:
    """Return the device that a config's `device` names here.

    Args:
        name: auto, cpu, cuda or cuda:N.
        local_rank: this process's number among the ranks on its machine, each of which has a GPU of its own; None for
            one process.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"device={name} asked for, but torch {torch.__version__} finds no CUDA device"
        )
    if name == "cuda" and local_rank is not None:
        if local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"rank {local_rank} of this machine has no GPU: there are {torch.cuda.device_count()}"
            )
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)
    return torch.device(name)


def limit_threads(number: int) -> None:
    """Let each operation of torch's and of BLAS in this process take so many threads.

    Several wait for each other longer than a small network takes: where another program computed besides, a policy for
    battles needed 38 ms for a decision by two, and 2 by one.
    """
    torch.set_num_threads(number)
    threadpool_limits(number, user_api="blas")


def be_deterministic(asked: bool) -> None:
    """Let torch use no operation whose result may differ from one time to the next, or any."""
    if asked:
        # cuBLAS reads this when it first runs; it repeats with a workspace of its own for each stream.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if asked != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(asked)  # imports torch's compiler
