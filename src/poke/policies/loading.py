"""Load a policy from a run directory, a checkpoint or an exported file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poke.policies.building import build
from poke.policies.policy import Policy, PolicyError
from poke.training.checkpointing import CheckpointError, best_or_newest, load_components


def load(path: str | Path, *, trust: Sequence[str] = (), seed: int | None = None) -> Policy:
    """Return a trained policy, ready to act.

    Neither the data nor the environment it was trained with is needed, and nothing that the file names is called but
    poke's own networks and torch's modules.

    Args:
        path: a run directory (its best checkpoint, or its newest where none is best), a checkpoint file, or a
            safetensors file that `python -m poke.export` wrote.
        trust: packages whose classes may be built besides, for a network of one's own.
        seed: of exploration; by default a new one each time.

    Raises:
        PolicyError: there is none, it cannot be read, or it names a class that is not trusted.
    """
    file = Path(path)
    if not file.exists():
        raise PolicyError(f"{path}: no such file or directory")
    if file.is_dir():
        found = best_or_newest(file / "checkpoints")
        if found is None:
            raise PolicyError(f"{path} holds no checkpoint")
        file = found
    try:
        state = load_components(file, ["policy"])["policy"]
    except CheckpointError as error:
        raise PolicyError(str(error)) from error
    return from_state(state, name=str(file), trust=trust, seed=seed)


def from_state(
    state: Mapping[str, Any], *, name: str, trust: Sequence[str] = (), seed: int | None = None
) -> Policy:
    """Return the policy that a state is of.

    Args:
        state: of `Policy.get_state`.
        name: where it comes from, for messages.
        trust: as of `load`.
        seed: as of `load`.

    Raises:
        PolicyError: as of `load`.
    """
    if state.get("description") is None:
        raise PolicyError(
            f"{name} was saved before policies said what they are made of: `python -m poke.export RUN` reads its "
            "run's config and environment, and writes a file that can be loaded"
        )
    try:
        policy = build(state["description"], trust=trust, seed=seed)
        policy.set_state(state)
    except PolicyError as error:
        raise PolicyError(f"{name}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise PolicyError(f"{name} holds no policy: {' '.join(str(error).split())}") from error
    return policy
