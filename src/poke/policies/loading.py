"""Load a policy from a run directory, a checkpoint or an exported file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poke.policies.building import build
from poke.policies.export import safetensors
from poke.policies.policy import Policy, PolicyError
from poke.training.checkpointing import CheckpointError, best_or_newest
from poke.training.checkpointing.contents import read_checkpoint
from poke.training.checkpointing.files import read_seal
from poke.training.checkpointing.survey import survey


@dataclass(frozen=True)
class SavedPolicy:
    """A policy as it was found, not built yet.

    Args:
        file: where.
        state: of `Policy.get_state`; without a description in a checkpoint that is older than those.
        about: how far it was trained, and when; empty where that is not known.
    """

    file: Path
    state: Mapping[str, Any]
    about: Mapping[str, Any]


class NoDescriptionError(PolicyError):
    """A policy that was saved before policies said what they are made of."""


def load(
    path: str | Path,
    *,
    checkpoint: str = "best",
    trust: str | Sequence[str] = (),
    seed: int | None = None,
) -> Policy:
    """Return a trained policy, ready to act.

    Neither the data nor the environment it was trained with is needed, and nothing that the file names is called but
    poke's own networks and torch's modules.

    Args:
        path: a run directory, a checkpoint file, or a safetensors file that `python -m poke.export` wrote.
        checkpoint: of a run directory: ``best``, which is the newest where none is best; ``newest``; or a file's name.
        trust: packages whose classes may be built besides, for a network of one's own.
        seed: of exploration; by default a new one each time.

    Raises:
        PolicyError: there is none, it cannot be read, or it names a class that is not trusted.
    """
    return build_saved(read(path, checkpoint=checkpoint), trust=trust, seed=seed)


def read(path: str | Path, *, checkpoint: str = "best") -> SavedPolicy:
    """Find a policy and read it; nothing is built.

    Args:
        path: as of `load`.
        checkpoint: as of `load`.

    Raises:
        PolicyError: there is none, or it cannot be read.
    """
    try:
        file = _file(Path(path), checkpoint)
        if _is_safetensors(file):
            return SavedPolicy(file, *safetensors.read(file))
        _refuse_others(file)
        found = read_checkpoint(file, names=("policy",))
    except (CheckpointError, OSError) as error:
        raise PolicyError(str(error)) from error
    metadata = found.metadata
    about = {"step": metadata.step, "epoch": metadata.epoch, "from": found.path.name}
    return SavedPolicy(file, found.components["policy"], about)


def build_saved(
    saved: SavedPolicy, *, trust: str | Sequence[str] = (), seed: int | None = None
) -> Policy:
    """Return the policy that was found.

    Args:
        saved: by `read`.
        trust: as of `load`.
        seed: as of `load`.

    Raises:
        PolicyError: as of `load`.
    """
    state, name = saved.state, str(saved.file)
    packages = (trust,) if isinstance(trust, str) else tuple(trust)
    try:
        if state["description"] is None:
            raise NoDescriptionError(
                "saved before policies said what they are made of: `python -m poke.export RUN` asks its run's "
                "config and environment, and writes a file that can be loaded"
            )
        policy = build(state["description"], trust=packages, seed=seed)
        policy.set_state(state)
    except PolicyError as error:
        raise type(error)(f"{name}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise PolicyError(f"{name} holds no policy: {' '.join(str(error).split())}") from error
    return policy


def _file(path: Path, checkpoint: str) -> Path:
    if not path.exists():
        raise PolicyError(f"{path}: no such file or directory")
    if not path.is_dir():
        return path
    folder = path / "checkpoints"
    if checkpoint == "best":
        found = best_or_newest(folder)
    elif checkpoint == "newest":
        found = next((folder / e.file.name for e in reversed(survey(folder).entries)), None)
    else:
        found = folder / checkpoint
        if not found.is_file():
            raise PolicyError(f"{path} holds no checkpoint {checkpoint}")
    if found is None:
        raise PolicyError(f"{path} holds no checkpoint")
    return found


def _is_safetensors(file: Path) -> bool:
    """Whether a file begins as those do: with the length of a JSON object, and that object."""
    with open(file, "rb") as opened:
        return file.suffix == ".safetensors" or opened.read(9)[8:] == b"{"


def _refuse_others(file: Path) -> None:
    """Name what is no checkpoint before torch is confused by it."""
    if read_seal(file) is not None:
        return
    graph = file.suffix == ".onnx"
    if not graph:
        if not zipfile.is_zipfile(file):
            raise PolicyError(
                f"{file} is neither a checkpoint nor an exported policy, or is damaged"
            )
        with zipfile.ZipFile(file) as archive:
            graph = any("/code/" in name for name in archive.namelist())
    if graph:
        raise PolicyError(
            f"{file} is a graph, which torch.jit.load or onnxruntime runs: "
            "`python -m poke.export RUN --format safetensors` writes what can be loaded"
        )
