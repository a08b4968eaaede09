"""Have the config files changed since the jobs of a sweep were run?"""

from __future__ import annotations

import hashlib
from pathlib import Path

from omegaconf import DictConfig

from poke.run.files import read_json, write_json

FINGERPRINT_FILE = ".sources.json"


class Sources:
    """The files that a sweep's configs are composed from.

    While they and a job's overrides are the same, so is its config, and there is no need to spend a tenth of a second
    a job on composing it to see that.

    Args:
        sweep_dir: the sweep's directory, where the files' fingerprint is kept.
        config: the sweep's config, with Hydra's.
    """

    def __init__(self, sweep_dir: Path, config: DictConfig) -> None:
        self._file = sweep_dir / FINGERPRINT_FILE
        folders = [
            Path(source.path)
            for source in config.hydra.runtime.config_sources
            if source.schema == "file"
        ]
        self._now = {"sha256": _fingerprint(folders)}
        # Whether every job so far is known to have been composed from files that read as they do now.
        self.are_those_of_before = read_json(self._file) == self._now

    def note(self, *, all_agree: bool) -> None:
        """Remember that all jobs are known to agree with the files as they are now, or that it must be looked into."""
        if self.are_those_of_before:
            return
        if all_agree:
            write_json(self._file, self._now)
        else:
            self._file.unlink(missing_ok=True)


def _fingerprint(folders: list[Path]) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
