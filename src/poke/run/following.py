"""The life of a rank other than 0: it builds the same parts, takes the same steps, and writes nothing.

All that it needs to know rank 0 tells it; what starts it (a run, `torchrun`, `srun`) only says where that is.
"""

from __future__ import annotations

from poke.run.signals import Signals, guard_the_door

if __name__ == "__main__":
    guard_the_door()  # before anything else is imported: a signal may come at any moment

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poke.distributed.places import STARTED, place_given, tracebacks_of
from poke.distributed.ranks import RankLostError
from poke.run.directory import RunDirectory, RunDirectoryError, is_held
from poke.run.telling.account import Account
from poke.run.telling.causes import OUTSIDE, cause_of
from poke.run.telling.messages import one_line

ENDING_SECONDS = 10.0  # for a process that was killed to let go of its run
_outlives = threading.Event()  # set where the run is to be ended after its process


def main() -> int:
    """Follow rank 0 to the end of its run and return an exit status: 0, or 1 where it did not come to one."""
    place = place_given()
    if place is None:
        print("poke: other ranks are started by a run, torchrun or srun", file=sys.stderr)
        return 2
    if STARTED in os.environ:
        threading.Thread(target=_end_with_the_run, daemon=True).start()
    # Rank 0 says it.
    logging.getLogger("poke").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    from poke.distributed.group import MEETING_SECONDS, Group, meet
    from poke.distributed.launching import TOLD, writes_tracebacks
    from poke.run.device import device_of

    group, told = None, {}
    with writes_tracebacks(), Signals() as signals:
        try:
            store = meet(place, MEETING_SECONDS)
            told = json.loads(store.get(TOLD))
            device = device_of(told["config"]["device"], place.local_rank)
            group = Group(place, store, device, told["timeout"])
            _follow(group, told["config"], signals, place.local_rank)
            group.end()
        except RankLostError as error:
            if error.rank == 0 and error.hangs and place.rank == 1:
                _end_for(error, group.peers[0] if group else {}, Path(told["run_dir"]))
            return 1
        except BaseException as error:
            if group is None:
                raise
            outside = cause_of(error) == OUTSIDE
            group.tell_of_failure(one_line(error), traceback.format_exc(), outside=outside)
            return 1
        finally:
            if group is not None:
                group.close()
    return 0


def _follow(group: Any, config: Mapping[str, Any], signals: Signals, local_rank: int) -> None:
    from poke.run.agent import Agent
    from poke.run.together import take_up
    from poke.training.checkpointing.follower import CheckpointFollower
    from poke.training.logging.timing import StepTimer
    from poke.training.trainer import Trainer

    agent = Agent(config, group, local_rank=local_rank)
    try:
        shards = agent.make_shards()
        checkpoints: Any = _Elsewhere()
        if shards is not None:
            weights = ("policy",) if config["checkpoint"]["contents"] == "weights" else None
            checkpoints = CheckpointFollower(shards, weights)
        trainer = Trainer(
            algorithm=agent.algorithm,
            source=agent.source,
            evaluator=_Elsewhere() if config.get("eval") else None,  # type: ignore[arg-type]
            logger=_Elsewhere(),  # type: ignore[arg-type]
            checkpoints=checkpoints,
            timer=StepTimer(),
            max_steps=config["trainer"]["max_steps"],
            eval_every=config["trainer"]["eval_every"],
            save_every=config["checkpoint"]["save_every"],
            ranks=group,
            whole=agent.whole,
        )
        take_up(trainer)
        signals.deliver_to(trainer.stop, trainer.save_soon)
        trainer.fit()
        if shards is not None:
            shards.end()
    finally:
        agent.close_parts()


class _Elsewhere:
    """Stands for what rank 0 alone has: a logger is told and tells nobody, the others are never asked."""

    def log(self, *_: Any, **__: Any) -> None:
        """Nothing is told."""

    set_epoch = log


def _end_with_the_run() -> None:
    """End when the process that started this one closes its pipe, or dies."""
    # Not by `sys.stdin`, whose lock the interpreter wants as it ends.
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    if not _outlives.is_set():
        os._exit(1)


def _end_for(error: RankLostError, first: Mapping[str, Any], run_dir: Path) -> None:
    """End rank 0, which hangs, and the account of its run, which it cannot end any more."""
    sessions = Account.of(run_dir).sessions
    same = first.get("host") == socket.gethostname() and is_held(run_dir)
    if not same or not sessions or sessions[-1].get("pid") != first["pid"]:
        return
    _outlives.set()
    with contextlib.suppress(OSError):
        os.kill(first["pid"], signal.SIGKILL)
    tracebacks_of(first["pid"]).unlink(missing_ok=True)
    until = time.monotonic() + ENDING_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(RunDirectoryError), RunDirectory(run_dir).held():
            account = Account.of(run_dir)
            if account.values["status"] != "running":
                return
            line, told = one_line(error), getattr(error, "__notes__", ())
            with open(run_dir / "train.log", "a", encoding="utf-8") as file:
                file.writelines(f"{text}\n" for text in (f"poke: failed: {line}", *told))
            account.end(
                "failed",
                exit_reason=type(error).__name__,
                step=None,
                error=line,
                cause=OUTSIDE,
                rank=0,
            )
            return
        time.sleep(0.1)


if __name__ == "__main__":
    # A thread may wait for what rank 0 holds, and the interpreter would wait for it.
    os._exit(main())
