"""Is it still the data that the run was begun with? Imports no torch."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from poke.config.knobs import ConfigError
from poke.data.files.described import DataError
from poke.data.files.fingerprint import Fingerprint, identify


class DataChangedError(ConfigError):
    """A run would go on with other data than it was begun with; the message is one line."""


def fingerprint_of(source: Any) -> dict[str, Any] | None:
    """Return the fingerprint of a source of recorded data; None for one that has none, such as a rollout."""
    fingerprint = getattr(source, "fingerprint", None)
    return None if fingerprint is None else fingerprint.to_dict()


def change_between(recorded: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str | None:
    """Return one line that says how two fingerprints differ; None where they do not, or one is unknown."""
    if recorded is None or now is None:
        return None
    return Fingerprint.from_dict(recorded).change(Fingerprint.from_dict(now))


def accepted_change(
    recorded: Mapping[str, Any] | None, now: Mapping[str, Any] | None, on_change: str
) -> str | None:
    """Compare what a run was trained on with what it would be trained on.

    Args:
        recorded: the fingerprint a run or checkpoint holds; None where it holds none.
        now: that of the data as it is.
        on_change: error, or accept to go on all the same.

    Returns:
        How they differ, where that is accepted; None where they do not.

    Raises:
        DataChangedError: they differ, and that is not accepted.
    """
    change = change_between(recorded, now)
    if change is not None and on_change != "accept":
        raise DataChangedError(f"{change}; data.on_change=accept goes on with it")
    return change


def change_since(recorded: Mapping[str, Any] | None, folders: Sequence[str]) -> str | None:
    """Return how the file that a finished run was trained on has changed since; None where it has not or is gone.

    Args:
        recorded: the run's fingerprint, if it has one.
        folders: working directories that a relative path may mean, the likeliest first.
    """
    if recorded is None or recorded["file"] is None:
        return None
    known = Fingerprint.from_dict(recorded)
    sources = (known.source,) if isinstance(known.source, str) else known.source
    places = [place for source in sources for place in _place(source, folders)]
    if len(places) < len(sources):
        return None
    try:
        now = _identified(tuple(places), known, tuple(map(_stamp, places)))
    except DataError as error:
        return str(error)
    # What is held out is the config's to say.
    return known.change(replace(now, source=known.source, split=known.split))


def _place(source: str, folders: Sequence[str]) -> list[str]:
    """Where a file is, if it is in one of the folders."""
    if source.startswith("sample:"):
        return [source]
    return [str(p) for folder in folders if (p := Path(folder, source)).is_file()][:1]


@functools.lru_cache
def _identified(paths: tuple[str, ...], known: Fingerprint, stamps: object) -> Fingerprint:
    """The fingerprint of files; thousands of jobs of a sweep ask for the same one."""
    return identify(paths, 0.5, known=known)


def _stamp(path: str) -> tuple[int, int] | None:
    if not os.path.isfile(path):
        return None
    about = os.stat(path)
    return about.st_mtime_ns, about.st_size
