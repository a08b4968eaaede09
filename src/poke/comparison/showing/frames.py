"""The runs as pandas DataFrames, for notebooks. pandas is imported by the calls, not by this module."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from poke.comparison.reading.checkpoints import best_checkpoints
from poke.comparison.reading.collection import read_histories, read_runs
from poke.comparison.reading.metrics import infer_mode
from poke.comparison.reading.rows.history import EMPTY, History, is_empty
from poke.comparison.reading.run import COMPLETE, Run
from poke.comparison.statistics.estimates import Estimate, estimate

if TYPE_CHECKING:
    import pandas as pd

Directories = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def load_runs(directories: Directories, *, cache: bool = True) -> pd.DataFrame:
    """Return one row a run, in the order of their paths.

    Args:
        directories: a folder to search, a run directory, or several of them.
        cache: keep and use an index at the root of each searched folder.

    Returns:
        Columns ``run`` (the directory), ``status``, ``seed``, ``started``, ``ended`` (datetime64,
        UTC), ``step``,
        every config key under its dotted name (missing where a run lacks it), ``last/<metric>`` and
        ``best/<metric>`` (float64), the best by the metric's mode: as monitored, else as its name
        tells; a
        metric whose mode is not known has no best.

    Raises:
        FileNotFoundError: a given directory does not exist.
    """
    import pandas as pd

    runs = read_runs(_listed(directories), cache=cache)
    rows = pd.DataFrame(
        {
            "run": [run.name for run in runs],
            "status": [run.status for run in runs],
            "seed": [run.seed for run in runs],
            "started": _instants(runs, "started"),
            "ended": _instants(runs, "ended"),
            "step": [run.summary.step for run in runs],
        }
    )
    keys = dict.fromkeys(key for run in runs for key in run.config if key != "seed")
    config = {key: [run.config.get(key) for run in runs] for key in keys if key not in rows}
    modes = dict(run.monitored for run in runs if run.monitored)
    metrics: dict[str, list[float]] = {}
    for name in dict.fromkeys(name for run in runs for name in run.summary.names):
        metrics[f"last/{name}"] = [run.summary.last(name)[0] for run in runs]
        mode = modes.get(name) or infer_mode(name)
        if mode:
            metrics[f"best/{name}"] = [run.summary.best(name, mode)[0] for run in runs]
    return pd.concat([rows, pd.DataFrame(config), pd.DataFrame(metrics, dtype=float)], axis=1)


def load_history(
    directories: Directories, metrics: Sequence[str] | None = None, *, cache: bool = True
) -> pd.DataFrame:
    """Return every row of every run's metrics, run after run.

    Args:
        directories: a folder to search, a run directory, or several of them.
        metrics: names of the metrics to keep; rows that hold none of them are left out. None keeps
            everything.
        cache: keep and use an index at the root of each searched folder.

    Returns:
        Columns ``run`` (Categorical), ``step`` (int64, or float64 where a step is no whole number),
        ``time``
        (datetime64, UTC, missing where the file tells no time), then one float64 column a metric.

    Raises:
        FileNotFoundError: a given directory does not exist.
        KeyError: no run has a metric of that name.
    """
    import pandas as pd

    runs = read_runs(_listed(directories), cache=cache)
    histories = read_histories(runs, cache=cache)
    known = list(dict.fromkeys(name for history in histories for name in history.names))
    names = known if metrics is None else list(metrics)
    for name in names:
        if name not in known:
            raise KeyError(f"no run has a metric {name!r}; there are {', '.join(known)}")
    lengths = [history.matrix.shape[1] for history in histories]
    matrix = _stack(histories, names)
    codes = np.repeat(np.arange(len(runs), dtype=np.int32), lengths)
    if metrics is not None:
        measured = ~is_empty(matrix[2:]).all(axis=0)
        matrix, codes = matrix[:, measured], codes[measured]
    steps = matrix[0]
    whole = np.all(np.isfinite(steps)) and np.all(steps == np.floor(steps))
    head = pd.DataFrame(
        {
            "run": pd.Categorical.from_codes(
                codes, categories=pd.Index([run.name for run in runs])
            ),
            "step": steps.astype(np.int64) if whole else steps,
            "time": _timestamps(matrix[1]),
        }
    )
    return pd.concat([head, pd.DataFrame(matrix[2:].T, columns=names, copy=False)], axis=1)


def summarize(
    frame: pd.DataFrame,
    by: str | Sequence[str],
    metric: str,
    *,
    mode: str | None = None,
    include_failed: bool = False,
) -> pd.DataFrame:
    """Return what a metric is over the seeds of each setting, best first.

    Args:
        frame: from ``load_runs``.
        by: the columns that tell settings apart.
        metric: a column of the frame, or a metric's name, which stands for its last value.
        mode: ``min`` or ``max``, which way is better; None takes it from the metric's name, and max
            where that is mute.
        include_failed: average runs in that did not finish.

    Returns:
        One row a setting: the columns of ``by``, ``n`` (int), ``mean``, ``std`` (with n - 1),
        ``low`` and ``high`` (95 %
        bootstrap interval of the mean, NaN below 3 runs), ``iqm`` (NaN below 4 runs). Settings
        missing in a run are a
        group of their own. Runs that lack the metric are left out.

    Raises:
        KeyError: the frame lacks a column.
    """
    import pandas as pd

    keys = [by] if isinstance(by, str) else list(by)
    column = metric if metric in frame else f"last/{metric}"
    if not include_failed:
        frame = frame[frame["status"].isin(COMPLETE)]
    rows = [
        (*values, *estimate([group[column].to_numpy(dtype=float)]))
        for values, group in frame.dropna(subset=[column]).groupby(keys, dropna=False, sort=False)
    ]
    summary = pd.DataFrame(rows, columns=[*keys, *Estimate._fields])
    ascending = (mode or infer_mode(column)) == "min"
    return summary.sort_values("mean", ascending=ascending, kind="stable", ignore_index=True)


def compare_checkpoints(
    directories: Directories, metric: str = "val/loss", mode: str | None = None
) -> pd.DataFrame:
    """Return the best checkpoint of each run, best first.

    Reads ``checkpoints.json`` only, never a checkpoint.

    Args:
        directories: a folder to search, a run directory, or several of them.
        metric: a name in the checkpoints' metrics; a run that lacks it is left out.
        mode: ``min`` or ``max``; None takes it from the metric's name.

    Returns:
        Columns ``run``, ``checkpoint`` (its path), ``step``, ``epoch`` (int) and the metric
        (float64).

    Raises:
        FileNotFoundError: a given directory does not exist.
        ValueError: an index is damaged, or the metric's name does not tell which way is better.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            (run, best.path, best.step, best.epoch, best.metrics[metric])
            for run, best in best_checkpoints(_listed(directories), metric, mode)
        ],
        columns=["run", "checkpoint", "step", "epoch", metric],
    )


def _stack(histories: Sequence[History], names: Sequence[str]) -> np.ndarray:
    """Return ``[2 + num_names, total rows] float64``: steps, times and these metrics, run after run."""
    matrix = np.empty((2 + len(names), sum(one.matrix.shape[1] for one in histories)))
    start = 0
    for history in histories:
        block = matrix[:, start : start + history.matrix.shape[1]]
        start += history.matrix.shape[1]
        if history.names == names:
            block[:] = history.matrix
            continue
        block[:2] = history.matrix[:2]
        for row, name in enumerate(names, start=2):
            known = name in history.names
            block[row] = history.values[history.names.index(name)] if known else EMPTY
    return matrix


def _instants(runs: Sequence[Run], key: str) -> Any:
    """Return a time of each run, missing where it has none."""
    stamps = [run.instant(key) for run in runs]
    return _timestamps(np.array([stamp.timestamp() if stamp else np.nan for stamp in stamps]))


def _timestamps(seconds: np.ndarray) -> Any:
    import pandas as pd

    known = np.isfinite(seconds)
    stamps = np.full(seconds.shape, np.datetime64("NaT", "us"), dtype="datetime64[us]")
    stamps[known] = np.round(seconds[known] * 1e6).astype(np.int64).view("datetime64[us]")
    return pd.Series(stamps).dt.tz_localize("UTC")


def _listed(directories: Directories) -> list[str | os.PathLike[str]]:
    return [directories] if isinstance(directories, str | os.PathLike) else list(directories)
