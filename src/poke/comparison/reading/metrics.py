"""Names of metrics: which way is better, and which one is meant."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence

from poke.comparison.errors import ComparisonError
from poke.comparison.reading.run import Run

LOWER_IS_BETTER = frozenset(
    [
        "loss",
        "error",
        "err",
        "perplexity",
        "ppl",
        "nll",
        "bce",
        "mse",
        "mae",
        "rmse",
        "kl",
        "divergence",
        "regret",
        "latency",
        "length",
        "len",
    ]
)
HIGHER_IS_BETTER = frozenset(
    [
        "accuracy",
        "acc",
        "return",
        "returns",
        "reward",
        "rewards",
        "rew",
        "score",
        "win",
        "wins",
        "success",
        "f1",
        "auc",
        "bleu",
        "elo",
    ]
)
USUAL = ("val/loss", "eval/return_mean", "val_loss", "rollout/ep_rew_mean", "train/loss", "loss")


def infer_mode(name: str) -> str | None:
    """Return ``min`` or ``max`` as the metric's name tells by its last telling word, None where it does not."""
    for word in reversed(re.split(r"[^a-z0-9]+", name.lower())):
        if word in LOWER_IS_BETTER:
            return "min"
        if word in HIGHER_IS_BETTER:
            return "max"
    return None


def choose_metric(runs: Sequence[Run], wanted: str | None) -> str:
    """Return the full name of the metric to compare by.

    Args:
        runs: the runs, which must not be empty.
        wanted: a metric's name, or the unambiguous end of one. None chooses what most runs
            monitored, else a usual name.

    Raises:
        ComparisonError: no run has it; the message names near matches.
    """
    names = list(dict.fromkeys(name for run in runs for name in run.summary.measured()))
    if wanted is None:
        monitored = Counter(run.monitored[0] for run in runs if run.monitored)
        likely = [name for name, _ in monitored.most_common()] + list(USUAL)
        chosen = next((name for name in likely if name in names), None)
        if chosen is None:
            raise ComparisonError(f"which metric? say --metric ({_choices(names)})")
        return chosen
    if wanted in names:
        return wanted
    tails = [name for name in names if name.endswith(f"/{wanted}")]
    if len(tails) == 1:
        return tails[0]
    near = tails or difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
    hint = f" (did you mean {' or '.join(near)}?)" if near else f" ({_choices(names)})"
    raise ComparisonError(f"no run has a metric {wanted}{hint}")


def choose_mode(runs: Sequence[Run], metric: str, wanted: str | None) -> tuple[str, str]:
    """Return the metric's mode, ``min`` or ``max``, and where it comes from.

    Raises:
        ComparisonError: neither the runs nor the name tell.
    """
    if wanted:
        return wanted, "as asked"
    monitored = Counter(
        run.monitored[1] for run in runs if run.monitored and run.monitored[0] == metric
    )
    if monitored:
        return monitored.most_common(1)[0][0], "as the runs monitored it"
    mode = infer_mode(metric)
    if mode is None:
        raise ComparisonError(f"is more or less {metric} better? say --mode max or --mode min")
    return mode, "from its name"


def _choices(names: Sequence[str]) -> str:
    if not names:
        return "no run has any yet"
    return f"choose from {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
