"""Which directory a job has: a name that depends on what its overrides mean, not on how they were typed."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from omegaconf import OmegaConf

from poke.config import composing
from poke.config.identity import bookkeeping, is_among

ASIDE = ".aside"  # in a sweep's directory, for what was replaced
MAX_SLUG_LENGTH = 100
DIGEST_LENGTH = 8
# Keys of any training config that change no result. A name depends on overrides only, since it must be found again
# without composing; hence all the parts of poke's own that have such keys are named here.
BOOKKEEPING = frozenset(
    bookkeeping(
        {
            "trainer": {},
            "checkpoint": {},
            "data": {"_target_": "poke.data.demonstrations.Demonstrations"},
            "eval": {"_target_": "poke.envs.evaluation.EpisodeEvaluator"},
        }
    )
)
_NOTHING: Any = object()


def identity(overrides: Iterable[str]) -> dict[str, Any]:
    """Return what a job changes, by key in alphabetical order; what changes no result of it is left out.

    Args:
        overrides: Hydra overrides such as ``algo.lr=1e-4``; ``1e-4`` and ``0.0001`` mean the same.
    """
    changed: dict[str, Any] = {}
    for key, text in (_parsed(override) for override in overrides):
        value = json.loads(text)
        if is_of_the_sweep(key.lstrip("+~")) or (key.lstrip("+"), value) == ("device", "auto"):
            continue
        value = _decisive(key.lstrip("+~").replace("/", "."), value)
        if value is _NOTHING:
            continue
        changed[key] = _merged(changed.get(key), value)
    return dict(sorted(changed.items()))


def digest(overrides: Iterable[str]) -> str:
    """Return eight hex digits that tell a job from every other, whatever its directory is called besides."""
    return hashlib.sha256(json.dumps(identity(overrides)).encode()).hexdigest()[:DIGEST_LENGTH]


def job_name(overrides: Sequence[str], axes: Collection[str] = ()) -> str:
    """Return a name for a job's directory, such as ``algo.lr_0.0001+seed_0-9f86d081``.

    It has none of the characters that Hydra's grammar reserves, so that ``resume=`` takes it unquoted.

    Args:
        overrides: the job's overrides.
        axes: keys in which the jobs of the sweep differ; only these are named. By default all are.
    """
    changes = identity(overrides)
    slug = "+".join(
        f"{_plain(key)}_{_plain(value)}"
        for key, value in changes.items()
        if not axes or key in axes
    )
    slug = slug[:MAX_SLUG_LENGTH].rstrip("+_.-")
    return f"{slug}-{digest(overrides)}" if slug else digest(overrides)


def digest_of(name: str) -> str:
    """Return the digest that a job's directory name ends with."""
    return name[-DIGEST_LENGTH:]


def register_resolver() -> None:
    """Make ``${poke.job_name:OVERRIDES}`` known to OmegaConf; sweepers that are not poke's own need it."""
    OmegaConf.register_new_resolver("poke.job_name", job_name, replace=True)


@functools.lru_cache(maxsize=100_000)
def _parsed(override: str) -> tuple[str, str]:
    """A job's override as its key and its value in JSON. Parsing takes a third of a millisecond, hence the cache."""
    (parsed,) = composing.parse([override])
    return parsed.get_key_element(), json.dumps(parsed.value(), default=str)


def is_of_the_sweep(name: str) -> bool:
    """Whether a key or group says how a sweep runs, not what its jobs are."""
    return re.split(r"[./]", name)[0] in ("sweep", "hydra")


def _decisive(key: str, value: Any) -> Any:
    """What of an override's value decides a result, as Hydra merges mappings; `_NOTHING` where all is bookkeeping."""
    if is_among(key, BOOKKEEPING):
        return _NOTHING
    if not isinstance(value, dict) or not value:
        return value
    kept = {k: _decisive(f"{key}.{k}", v) for k, v in value.items()}
    return {k: v for k, v in kept.items() if v is not _NOTHING} or _NOTHING


def _merged(before: Any, value: Any) -> Any:
    """What a key is after two overrides: the later one, but mappings complement each other and an option of a group."""
    if isinstance(before, dict) and isinstance(value, dict):
        return before | {key: _merged(before.get(key), new) for key, new in value.items()}
    if isinstance(value, dict) and isinstance(before, str):
        return {"": before, **value}
    if isinstance(value, str) and isinstance(before, dict):
        return {"": value, **before}
    return value


def _plain(value: Any) -> str:
    if isinstance(value, int | float):
        return json.dumps(value).replace("e+", "e")
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
