"""Parts of a user's own, copied into the working directory of tests: each makes something happen once."""

import json
import os
import signal
import time
from pathlib import Path

import torch

from poke.algorithms.bc import BehaviourCloning, HeldOutEvaluator
from poke.data.demonstrations import Demonstrations
from poke.training.writers import MemoryWriter


class Talkative(BehaviourCloning):
    """Returns metrics of every kind that the logger takes, and some that it does not."""

    def update(self, batch):
        metrics = dict(super().update(batch))
        extra = {"nested": {"a": 1, "b": torch.tensor(2.0)}, "text": "words", "many": torch.ones(3)}
        return {**metrics, **extra}


class Faulty(BehaviourCloning):
    """Raises in one update while there is a file `cause`."""

    def update(self, batch):
        metrics = (
            super().update(batch) if self.num_updates != 50 or not Path("cause").exists() else None
        )
        if metrics is None:
            raise OSError(5, "the cause")
        return metrics


class Stubborn(Faulty):
    """Raises, and then cannot even be saved or closed."""

    def get_state(self):
        if self.num_updates >= 50:
            raise KeyError("no state either")
        return super().get_state()


class Unclosable(Demonstrations):
    """Raises as it is closed."""

    def close(self):
        raise OSError(5, "closing failed")


class Signalling(HeldOutEvaluator):
    """Has the process stopped in the middle of its second evaluation, while there is a file `cause`."""

    def evaluate(self, algorithm):
        self.count = getattr(self, "count", 0) + 1
        if self.count == 2 and Path("cause").exists():
            Path("cause").unlink()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
            raise AssertionError("the evaluation went on")
        return super().evaluate(algorithm)


class Leaving(BehaviourCloning):
    """Ends the interpreter in the middle of training, as a library might."""

    def update(self, batch):
        if self.num_updates == 50:
            raise SystemExit(3)
        return super().update(batch)


class Aging(BehaviourCloning):
    """Makes run.json look ancient, and fails if it still does some windows of metrics later."""

    def update(self, batch):
        account = Path("run", "run.json")
        if self.num_updates == 15:
            os.utime(account, (0, 0))
            assert json.loads(account.read_text())["device"] == "cpu"  # not auto
        if self.num_updates == 35:
            assert account.stat().st_mtime > 0, "no sign of life"
        return super().update(batch)


class Unsure(BehaviourCloning):
    """Has a metric, no loss, that is NaN once."""

    def update(self, batch):
        metrics = dict(super().update(batch))
        return {**metrics, "margin": float("nan") if self.num_updates == 5 else 1.0}


class Telling(MemoryWriter):
    """A sink that leaves word of how each process ended."""

    def __init__(self, location, *, run_dir):
        super().__init__()
        self.path = Path(run_dir, "told.txt")

    def log_end(self, status):
        with open(self.path, "a") as file:
            file.write(f"{status}\n")


class Hanging(MemoryWriter):
    """A sink behind a network that never answers."""

    in_background = True

    def __init__(self, location):
        super().__init__()

    def write(self, metrics, step, category):
        Path("hangs").touch()
        time.sleep(1000)
