"""Which run a sink writes for: places may be shared, and what one run wrote is no other's."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path


def run_name(run_dir: str | Path) -> str:
    """Return a run's name, as run.json has it: its directory's last two parts."""
    path = Path(run_dir).absolute()
    return f"{path.parent.name}/{path.name}"


def run_token(run_dir: str | Path | None) -> str:
    """Return eight hex digits that are a run's own, the same ones for one directory, random ones for none."""
    if run_dir is None:
        return secrets.token_hex(4)
    return hashlib.sha256(str(Path(run_dir).absolute()).encode()).hexdigest()[:8]
