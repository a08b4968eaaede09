"""Group runs by the settings in which they differ, seeds apart."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.configs import Value, flatten
from poke.comparison.reading.record import last_session
from poke.comparison.reading.run import Run

MISSING = "-"  # what a table shows where a run lacks a setting
# What runs whose account does not name their bookkeeping leave out: keys, or groups of them, that
# say how a run is started, watched and kept, not what it does.
BOOKKEEPING = (
    *("resume", "fork", "sweep", "logger", "trainer.max_seconds", "data.on_change"),
    *("checkpoint.save_every", "checkpoint.save_every_seconds", "checkpoint.max_to_keep"),
    *("checkpoint.keep_best", "checkpoint.keep_every", "checkpoint.async_save"),
)
RUN_FIELDS: dict[str, Callable[[Run], Value]] = {
    "run": lambda run: run.name,
    "status": lambda run: run.status,
    "seed": lambda run: run.seed,
    "host": lambda run: last_session(run.record).get("host"),
    "device": lambda run: run.record.get("device"),
    "started": lambda run: run.record.get("started"),
    "step": lambda run: run.summary.step,
}


@dataclass(slots=True, eq=False)
class Group:
    """Runs that are repeats of one another.

    Args:
        settings: the value of each key that tells groups apart; a key that its runs lack is not
            there.
        runs: the runs.
        strata: positions in ``runs`` of runs that differ in nothing but the seed.
    """

    settings: dict[str, Value]
    runs: list[Run] = field(default_factory=list)
    strata: list[list[int]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The settings in one line, in the form of overrides."""
        return (
            " ".join(f"{key}={format_value(value)}" for key, value in self.settings.items())
            or "all runs"
        )


@functools.cache  # asked of every setting of every run, which have the same few keys
def is_seed(key: str) -> bool:
    """Tell whether a setting is a seed."""
    last = key.rpartition(".")[2]
    return last == "seed" or last.endswith("_seed")


def identities(runs: Sequence[Run]) -> dict[str, dict[str, Value]]:
    """Return by run name the settings that tell runs apart, as far as the runs themselves say which those are.

    Bookkeeping is left out. A setting that a run lacks because it came later has the default that
    newer runs of the same kind name.
    """
    bookkeeping = {name for run in runs for name in run.record.get("bookkeeping") or BOOKKEEPING}
    defaults: dict[tuple[str, Value], Value] = {}
    present = {key for run in runs for key in run.config}
    for run in runs:
        for key, value in flatten(run.record.get("defaults") or {}).items():
            if key in present:
                defaults.setdefault((key, _kind(run, key)), value)
    left_out: dict[str, bool] = {}
    found = {}
    for run in runs:
        settings = run.settings
        if defaults and run.config:
            missing = {
                key: value for (key, kind), value in defaults.items() if _kind(run, key) == kind
            }
            settings = missing | settings
        for key in settings:
            if key not in left_out:
                left_out[key] = is_among(key, bookkeeping)
        found[run.name] = {key: value for key, value in settings.items() if not left_out[key]}
    return found


def differing_keys(settings: Iterable[dict[str, Value]]) -> tuple[list[str], dict[str, Value]]:
    """Return the settings in which runs differ, seeds apart, and those that are equal in all.

    A setting that one run has and another lacks differs. Runs without any config are left out.
    """
    configs = [config for config in settings if config]
    keys = dict.fromkeys(key for config in configs for key in config if not is_seed(key))
    differing: list[str] = []
    equal: dict[str, Value] = {}
    for key in keys:
        values = {_identity(config, key) for config in configs}
        if len(values) > 1:
            differing.append(key)
        else:
            equal[key] = configs[0][key]
    return differing, equal


def is_among(key: str, names: Collection[str]) -> bool:
    """Tell whether a dotted key, or a group that it stands in, is one of some names."""
    parts = key.split(".")
    return any(".".join(parts[:length]) in names for length in range(1, len(parts) + 1))


def group_runs(
    runs: Sequence[Run],
    settings: Mapping[str, dict[str, Value]],
    keys: Sequence[str],
    differing: Sequence[str],
) -> list[Group]:
    """Group runs by the values of some keys.

    Args:
        runs: the runs.
        settings: what tells them apart, by run name.
        keys: config keys or run fields that tell groups apart. A run without a config stands by
            itself.
        differing: every key in which the runs differ; those not in ``keys`` make a group's strata.
    """
    groups: dict[Any, Group] = {}
    strata: dict[Any, dict[Any, list[int]]] = {}
    rest = [key for key in differing if key not in keys]
    for run in runs:
        mine = run.settings | settings[run.name]
        values = {
            key: value for key in keys for found, value in [_look_up(run, mine, key)] if found
        }
        by_itself = not run.config and not values
        identity: Any = run.name if by_itself else tuple(_identity(values, key) for key in keys)
        group = groups.setdefault(identity, Group({"run": run.name} if by_itself else values))
        stratum = tuple(_identity(mine, key) for key in rest)
        strata.setdefault(identity, {}).setdefault(stratum, []).append(len(group.runs))
        group.runs.append(run)
    for identity, group in groups.items():
        group.strata = list(strata[identity].values())
    return list(groups.values())


def repeated_seeds(group: Group) -> list[tuple[str, list[Run]]]:
    """Return the seeds that more than one run of a stratum has, with those runs."""
    repeated: list[tuple[str, list[Run]]] = []
    for stratum in group.strata:
        alike = [[group.runs[position] for position in stratum]]
        for seed in (
            lambda run: repr(run.seed),
            _seeds,
        ):  # the second costs more and decides little
            finer: list[list[Run]] = []
            for runs in alike:
                by_seed: dict[str, list[Run]] = {}
                for run in runs:
                    by_seed.setdefault(seed(run), []).append(run)
                finer += [runs for runs in by_seed.values() if len(runs) > 1]
            alike = finer
        repeated += [
            (str(runs[0].seed), runs)
            for runs in alike
            if runs[0].seed is not None or any(map(is_seed, runs[0].config))
        ]
    return repeated


def _seeds(run: Run) -> str:
    return repr({key: value for key, value in run.config.items() if is_seed(key)})


def resolve_key(key: str, runs: Iterable[Run], more: Iterable[str] = ()) -> str:
    """Return the full name of a setting or run field, which may be given by its unambiguous end.

    Args:
        key: what was asked for.
        runs: the runs whose configs are searched.
        more: other names that are allowed.

    Raises:
        ComparisonError: there is none, or more than one; the message names near matches.
    """
    names = dict.fromkeys(name for run in runs for name in run.config)
    if key in names or key in RUN_FIELDS or key in (others := dict.fromkeys(more)):
        return key
    everything = [*names, *others]
    tails = [name for name in everything if name.endswith((f".{key}", f"/{key}"))]
    if len(tails) == 1:
        return tails[0]
    near = tails or difflib.get_close_matches(key, [*everything, *RUN_FIELDS], n=3, cutoff=0.6)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise ComparisonError(f"no run has a setting {key}{hint}")


def list_names(names: Sequence[str]) -> str:
    """Return the first names of some in one line."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def format_value(value: object) -> str:
    """Return a setting as it is typed."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def is_value(value: Value, text: str) -> bool:
    """Tell whether a setting is what a person typed; 1e-3 and 0.001 are the same number."""
    number, typed = to_number(value), to_number(text)
    if number is not None and typed is not None:
        return number == typed
    return format_value(value) == text


def to_number(value: object) -> float | None:
    """Return a number, or a text that is one, as a float; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _look_up(run: Run, settings: dict[str, Value], key: str) -> tuple[bool, Value]:
    if key in settings:
        return True, settings[key]
    if key in RUN_FIELDS:
        value = RUN_FIELDS[key](run)
        return value is not None, value
    return False, None


def _kind(run: Run, key: str) -> Value:
    """Return what the part of a config that holds a key is configured for."""
    return run.config.get(f"{key.rpartition('.')[0]}._target_")


def _identity(config: dict[str, Value], key: str) -> tuple[str, object]:
    """Return what tells a value apart: 1 and 1.0 are the same number, 1 and true are not, and none is a value."""
    if key not in config:
        return "missing", None
    value = config[key]
    return ("number" if type(value) in (int, float) else type(value).__name__), value
