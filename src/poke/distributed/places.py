"""Which of several processes this one is, by what started it: torchrun, srun, or a run itself. Imports no torch."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTED = "POKE_RANK"  # set where a run has started this rank, which is to end with it


@dataclass(frozen=True)
class Place:
    """This process's place among the ranks.

    Args:
        rank: its number, from 0.
        size: how many ranks there are.
        local_rank: its number on this machine.
        host: where ranks meet.
        port: likewise.
        serves: whether this process holds the meeting place.
    """

    rank: int
    size: int
    local_rank: int
    host: str
    port: int
    serves: bool


def place_given(environ: Mapping[str, str] = os.environ) -> Place | None:
    """Return the place that whoever started this process has given it, by `torchrun` or `srun`; None alone.

    Raises:
        ValueError: srun started several tasks, and nothing says where they can meet.
    """
    if int(environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in environ:
        rank = int(environ["RANK"])
        agents = environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        return Place(
            rank=rank,
            size=int(environ["WORLD_SIZE"]),
            local_rank=int(environ.get("LOCAL_RANK", "0")),
            host=environ["MASTER_ADDR"],
            port=int(environ["MASTER_PORT"]),
            serves=rank == 0 and not agents,
        )
    # Of the step, not of the job: a batch script of many tasks is itself one process.
    if int(environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        rank = int(environ["SLURM_PROCID"])
        host = environ.get("MASTER_ADDR") or environ.get("SLURM_LAUNCH_NODE_IPADDR")
        if not host:
            raise ValueError(
                "srun has started several tasks: set MASTER_ADDR to the first one's machine"
            )
        # The same for all tasks of a step, and others for other steps.
        number = int(environ["SLURM_JOB_ID"]) * 8 + int(environ.get("SLURM_STEP_ID", "0"))
        return Place(
            rank=rank,
            size=int(environ["SLURM_STEP_NUM_TASKS"]),
            local_rank=int(environ.get("SLURM_LOCALID", "0")),
            host=host,
            port=int(environ.get("MASTER_PORT", 20_000 + number % 20_000)),
            serves=rank == 0,
        )
    return None


def follows(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is a rank other than 0: what it does it is told by that one."""
    place = place_given(environ)
    return place is not None and place.rank > 0


def whereabouts() -> dict[str, Any]:
    """Return how another process on the same machine can find this one."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


def tracebacks_of(pid: int) -> Path:
    """Return where a rank on this machine writes down where it is, when it is asked to."""
    return Path(tempfile.gettempdir()) / f"poke-rank-{pid}.txt"
