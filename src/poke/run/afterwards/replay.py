"""A run replayed from one of its checkpoints to the next, to be compared bit for bit.

The replay happens in a scratch directory; the run's own directory is only read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from poke.config.knobs import ConfigError


@dataclass(frozen=True)
class Difference:
    """Where a replay first differs.

    Args:
        where: the value's path through the components.
        recorded: what the checkpoint holds.
        replayed: what the replay came to.
    """

    where: str
    recorded: str
    replayed: str


def neighbours(run_dir: Path, start: int | None) -> tuple[Path, Path]:
    """Return the checkpoint to replay from and the one to compare with.

    Args:
        run_dir: the run's.
        start: the step of the first; by default the newest but one.

    Raises:
        ConfigError: there are no such two.
    """

    def step(path: Path) -> int:
        return int(path.stem.rpartition("step")[2])

    files = sorted((run_dir / "checkpoints").glob("checkpoint_epoch*_step*.pt"), key=step)
    if len(files) < 2:
        raise ConfigError(f"{run_dir} has {len(files)} checkpoints; a replay needs two")
    if start is None:
        return files[-2], files[-1]
    for first, second in pairwise(files):
        if step(first) == start:
            return first, second
    known = ", ".join(str(step(path)) for path in files[:-1])
    raise ConfigError(f"no checkpoint at step {start} with one after it (choose from {known})")


def replay(plain: Mapping[str, Any], first: Path, second: Path) -> Difference | None:
    """Train from one checkpoint to the step of another and return the first difference, None where there is none.

    Args:
        plain: the run's resolved config.
        first: the checkpoint file of the run to begin from.
        second: the checkpoint file to train up to.

    Raises:
        CheckpointError: one of them cannot be read.
        ConfigError: the run was trained on other data than there is now.
    """
    from poke.run.experiment import Experiment
    from poke.run.identity import change_between
    from poke.training.checkpointing.contents import state_of

    with tempfile.TemporaryDirectory(prefix="poke-verify-") as scratch:
        experiment = Experiment(_without_sinks(plain), Path(scratch))
        recorded = experiment.checkpoints.load(second)
        if others := recorded.components["trainer"].get("ranks"):
            raise ConfigError(
                f"{second} is of {len(others) + 1} ranks, and one process cannot replay what they did bit for bit"
            )
        if change := change_between(recorded.metadata.data, experiment.data):
            raise ConfigError(change)
        loaded = experiment.checkpoints.load(first)
        experiment.checkpoints.restore(experiment.trainer.components, loaded)
        trainer = experiment.trainer
        trainer.run_until(recorded.metadata.step)
        if trainer.get_state() != recorded.components["trainer"]:
            trainer.evaluate()  # the one a run makes at its end, whatever the step
        replayed = {
            name: state_of(part, name)
            for name, part in trainer.components.items()
            if name != "logger"  # its state is of the sinks, which a replay has not
        }
        experiment.close()
    expected = {name: recorded.components[name] for name in replayed}
    _fill_in(expected, replayed)
    return next(differences(expected, replayed), None)


def _fill_in(recorded: dict[str, Any], replayed: Mapping[str, Any]) -> None:
    """Take over from the replay what checkpoints of older formats did not hold."""
    policy = recorded["policy"]
    if policy["description"] is not None:
        return
    recorded["policy"] = {**policy, "description": replayed["policy"]["description"]}
    if (
        policy["normalizer"] is not None
    ):  # of the observation to act on next, only how it is seen was kept
        source, now = recorded["source"], replayed["source"]["environments"]
        if "observation" in source["environments"]:
            environments = {**source["environments"], "observation": now["observation"]}
            recorded["source"] = {**source, "environments": environments}


def differences(recorded: Any, replayed: Any, where: str = "") -> Iterator[Difference]:
    """Yield every place at which two states differ, in order."""
    import torch

    if isinstance(recorded, Mapping) and isinstance(replayed, Mapping):
        for key in [*recorded, *(k for k in replayed if k not in recorded)]:
            inner = f"{where}.{key}" if where else str(key)
            if key in recorded and key in replayed:
                yield from differences(recorded[key], replayed[key], inner)
            else:
                yield Difference(
                    inner, *("present" if key in s else "absent" for s in (recorded, replayed))
                )
    elif isinstance(recorded, list | tuple) and isinstance(replayed, list | tuple):
        if len(recorded) != len(replayed):
            yield Difference(where, f"{len(recorded)} items", f"{len(replayed)} items")
        for i, (a, b) in enumerate(zip(recorded, replayed, strict=False)):
            yield from differences(a, b, f"{where}[{i}]")
    elif isinstance(recorded, torch.Tensor) and isinstance(replayed, torch.Tensor):
        a, b = recorded.cpu(), replayed.detach().cpu()
        if a.shape != b.shape or a.dtype != b.dtype:
            yield Difference(where, f"{a.dtype} {tuple(a.shape)}", f"{b.dtype} {tuple(b.shape)}")
        elif not torch.equal(_bits(a), _bits(b)):
            index = tuple((_bits(a) != _bits(b)).nonzero()[0].tolist())
            yield Difference(f"{where}{list(index)}", repr(a[index].item()), repr(b[index].item()))
    elif not (recorded == replayed or (recorded != recorded and replayed != replayed)):
        yield Difference(where, repr(recorded), repr(replayed))


def _bits(tensor: Any) -> Any:
    """The tensor with NaN equal to itself: floats as integers of their bits."""
    import torch

    kinds = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    return (
        tensor.contiguous().view(kinds[tensor.itemsize]) if tensor.is_floating_point() else tensor
    )


def _without_sinks(plain: Mapping[str, Any]) -> dict[str, Any]:
    logger = {
        k: v
        for k, v in plain["logger"].items()
        if not isinstance(v, Mapping) or "_target_" not in v
    }
    return {**plain, "logger": {**logger, "cli_frequency": 0, "backend_frequency": 0}}
