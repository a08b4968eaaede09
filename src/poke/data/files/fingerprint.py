"""What a run was trained on, in a form that two runs, or two moments of one, can be compared by. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from poke.data import trajectories
from poke.data.files.described import DataError
from poke.data.files.several import paths_of, read_all
from poke.data.files.steps import Trajectories

# What is learned from, and where episodes begin and end. An outcome or the metadata's wording changes no result.
_CONTENT = (
    "observation",
    "action",
    "action_mask",
    "reward",
    "terminated",
    "truncated",
    "episode",
    "player",
    "timestep",
)
# 2^64 divided by the golden ratio, odd: the multiplier of Fibonacci hashing (Knuth, TAOCP 3, section 6.4).
_GOLDEN = 11400714819323198485


@dataclass(frozen=True)
class Fingerprint:
    """Recorded data, and which of it is held out.

    Args:
        source: the path as it was given, or several, or a data set's id.
        file: xxh3_128 in hex of the file's bytes, or of several files' digests; None where the data is no file.
        content: xxh3_128 of the decoded arrays in hex: the same for another compression of the same rows.
        rows: decisions.
        episodes: whole episodes.
        split: xxh3_64, in hex, of which episodes are held out and of the fraction asked for.
    """

    source: str | tuple[str, ...]
    file: str | None
    content: str
    rows: int
    episodes: int
    split: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as JSON and a checkpoint can hold them."""
        source = self.source if isinstance(self.source, str) else list(self.source)
        return {**asdict(self), "source": source}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fingerprint:
        """Return what `to_dict` was taken of.

        Raises:
            DataError: a field is missing.
        """
        names = [f.name for f in fields(cls)]
        if missing := [name for name in names if name not in values]:
            raise DataError(f"this is no fingerprint of data: it has no {missing[0]}")
        known = {name: values[name] for name in names}
        return cls(**{**known, "source": _hashable(known["source"])})

    def change(self, now: Fingerprint) -> str | None:
        """Return one line that says how data differs from this, which a run began with; None where it does not.

        The same rows in another file, or under another path, are no difference.

        Args:
            now: of the data as it is found.
        """
        if self.content != now.content:
            line = f"{now.name} has changed since the run began"
            if self.source != now.source:
                line = f"{now.name} holds other data than {self.name}, with which the run began"
            return f"{line}: {self._rows()} then, {now._rows()} now"
        if self.split != now.split:
            return (
                f"{now.name} holds out other episodes than when the run began: "
                f"split {self.split[:8]} then, {now.split[:8]} now"
            )
        return None

    @property
    def name(self) -> str:
        """The source in words."""
        return self.source if isinstance(self.source, str) else " + ".join(self.source)

    def _rows(self) -> str:
        return f"{self.rows:,} rows (content {self.content[:8]})"


def identify(
    path: str | Path | Sequence[str], val_fraction: float, *, known: Fingerprint | None = None
) -> Fingerprint:
    """Fingerprint a file, or several, without serving them.

    Args:
        path: as `trajectories.read` takes it; of several each.
        val_fraction: share of the episodes held out.
        known: an earlier fingerprint; where the file still has its very bytes, the rows are not read again.

    Raises:
        DataError: the file is missing or wrong.
    """
    paths = paths_of(path)
    digest = files_digest(paths)
    source = str(path) if isinstance(path, str | Path) else tuple(paths)
    if len(paths) == 1 and known is not None and known.file == digest:
        split = _split_digest(held_out([known.episodes], val_fraction), val_fraction)
        return replace(known, source=source, split=split)
    data, episodes = read_all(paths)
    return fingerprint(data, source, val_fraction, file=digest, episodes=episodes)


def fingerprint(
    data: Trajectories,
    source: str | Sequence[str],
    val_fraction: float,
    *,
    file: str | None = None,
    episodes: Sequence[int] | None = None,
    content: str | None = None,
) -> Fingerprint:
    """Fingerprint data that was read already.

    Args:
        data: the decoded arrays.
        source: the path as it was given, or several, or a data set's id.
        val_fraction: share of the episodes held out.
        file: `files_digest` of what it was read from, if that was files.
        episodes: how many each of several files holds.
        content: `content_digest`, where it is known.
    """
    split = _split_digest(held_out(episodes or [data.num_episodes], val_fraction), val_fraction)
    content = content or content_digest(data)
    return Fingerprint(_hashable(source), file, content, len(data), data.num_episodes, split)


def files_digest(paths: Sequence[str]) -> str:
    """Return `file_digest` of the one file, or xxh3_128 in hex of several files' digests."""
    digests = [file_digest(path) for path in paths]
    if len(digests) == 1:
        return digests[0]
    return xxhash.xxh3_128_hexdigest(" ".join(digests).encode())


def file_digest(path: str | Path) -> str:
    """Return xxh3_128 of a file's bytes in hex, a mebibyte in memory at a time.

    Args:
        path: as `trajectories.read` takes it.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    location = trajectories.locate(path)
    if not location.is_file():
        raise DataError(f"{location}: no such file")
    digest = xxhash.xxh3_128()
    try:
        with open(location, "rb", buffering=0) as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{location} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def held_out(num_episodes: Sequence[int], fraction: float) -> np.ndarray:
    """Return `[sum of num_episodes]` bool: which episodes are kept back for validation.

    An episode's number in its file alone decides, never how many there are, so episodes that are appended leave the old
    ones on their side, and a file holds out the same whatever else is trained on. Numbers times the golden ratio,
    modulo 1, fill the interval evenly: any stretch of episodes has its share to within a few, however a recording
    cycles through opponents. In 64-bit integers it is the same on every machine. Episode 0 is held out whenever
    any is, so validation is never empty by chance.

    Args:
        num_episodes: of each file, numbered from 0.
        fraction: share to hold out, below 1; with 0 nothing is.
    """
    threshold = min(math.ceil(fraction * 2**64), 2**64)  # exact: a float times a power of 2
    if threshold <= 0:
        return np.zeros(sum(num_episodes), np.bool_)
    number = np.concatenate([np.arange(count, dtype=np.uint64) for count in num_episodes])
    return spread(number) <= np.uint64(threshold - 1)


def spread(number: np.ndarray) -> np.ndarray:
    """Return `[N] uint64`: a place for each number, so that any stretch of numbers lies all over the range."""
    return number.astype(np.uint64) * np.uint64(_GOLDEN)  # modulo 2^64


def _hashable(source: str | Sequence[str]) -> str | tuple[str, ...]:
    return source if isinstance(source, str) else tuple(source)


def content_digest(data: Trajectories) -> str:
    """Return xxh3_128 of decoded arrays in hex, as `Fingerprint.content` has it."""
    digest = xxhash.xxh3_128()
    for name in _CONTENT:
        array = getattr(data, name)
        if array is None:
            digest.update(f"{name} absent;".encode())
            continue
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)  # no copy of what is contiguous already
    if (
        data.marks is not None
    ):  # only some data has them: without, it is what it was before there were any
        digest.update(f"marks {data.marks.shape};".encode())
        digest.update(np.ascontiguousarray(data.marks).data)
    if data.finals is not None:  # likewise
        digest.update(f"finals {len(data.finals.rows)};".encode())
        digest.update(np.ascontiguousarray(data.finals.observation).data)
    if data.weight is not None:  # likewise
        digest.update(f"weight {data.weight.shape};".encode())
        digest.update(np.ascontiguousarray(data.weight).data)
    return digest.hexdigest()


def _split_digest(chosen: np.ndarray, val_fraction: float) -> str:
    digest = xxhash.xxh3_64(f"{float(val_fraction)!r} {len(chosen)};".encode())
    digest.update(np.packbits(chosen).data)
    return digest.hexdigest()
