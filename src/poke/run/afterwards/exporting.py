"""Write a policy as a file for others."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from poke.policies.export import safetensors, tracing
from poke.policies.export.graph import inputs_of
from poke.policies.loading import NoDescriptionError, SavedPolicy, build_saved, read
from poke.policies.policy import Policy, PolicyError

__all__ = ["FORMATS", "PolicyError", "export"]

FORMATS: dict[str, Callable[[Policy, dict[str, Any]], bytes]] = {
    "safetensors": lambda policy, about: safetensors.to_bytes(policy.get_state(), about),
    "torchscript": tracing.torchscript,
    "onnx": tracing.onnx,
}


def export(
    run: Path, *, format: str, out: Path, checkpoint: str = "best", trust: Sequence[str] = ()
) -> str:
    """Write a policy into a file, and return what was written, in a line.

    Args:
        run: a run directory, a checkpoint or an exported safetensors file.
        format: one of `FORMATS`.
        out: the file; it is whole or what it was before.
        checkpoint: which of a run's, see `poke.policies.loading.load`.
        trust: packages whose classes may be built besides poke's own.

    Raises:
        PolicyError: there is no such policy, or it does not go into this format.
        ConfigError: its run's config has to be asked, and names what is not trusted.
        OSError: the file system refused.
    """
    saved = read(run, checkpoint=checkpoint)
    try:
        policy = build_saved(saved, trust=trust)
    except NoDescriptionError:
        policy = _described_by_its_run(run, saved, trust)
    _write(out, FORMATS[format](policy, dict(saved.about)))
    takes = ", ".join(f"{i.name} {i.dtype} {list(i.shape)}" for i in inputs_of(policy))
    step = f", step {saved.about['step']}" if "step" in saved.about else ""
    return f"{out}: the policy of {saved.file}{step}; takes {takes}"


def _described_by_its_run(run: Path, saved: SavedPolicy, trust: Sequence[str]) -> Policy:
    from poke.run.afterwards.foreign import (
        policy_of,  # brings Hydra, which others need not wait for
    )

    run_dir = run if run.is_dir() else run.absolute().parent.parent
    return policy_of(run_dir, saved, trust)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
