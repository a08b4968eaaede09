"""Hand to a launcher what is left to do, and to the sweeper what every job came to."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from poke.config import composing
from poke.config.knobs import ConfigError
from poke.sweep import naming, worker
from poke.sweep.job import JobFailed, SweepJob, changed_data, check_same
from poke.sweep.sources import Sources
from poke.sweep.table import JobRow, SweepTable
from poke.sweep.ticket import Ticket

log = logging.getLogger("poke.sweep")

# How often a launcher may break down under the same jobs, as when a worker is killed for its memory.
MAX_BREAKDOWNS = 3


class Jobs(list[Sequence[str]]):
    """Overrides of the jobs to launch; the list ends early for whoever walks it once the sweep is stopped."""

    def __init__(self, jobs: Sequence[Sequence[str]], ticket: Ticket) -> None:
        super().__init__(jobs)
        self._ticket = ticket

    def __iter__(self) -> Iterator[Sequence[str]]:
        for overrides in super().__iter__():
            if self._ticket.why_stop() is not None:
                return
            yield overrides


class IdempotentLauncher:
    """Launches through another launcher, leaving out jobs that are finished.

    Args:
        launcher: runs the jobs.
        hydra_context: composes configs.
        config: the sweep's config.
        job: the task function, which holds the sweep's ticket.
        max_batch_size: jobs handed over at a time; all by default.
    """

    def __init__(
        self,
        launcher: Launcher | None,
        hydra_context: HydraContext,
        config: DictConfig,
        job: TaskFunction,
        max_batch_size: int | None = None,
    ) -> None:
        assert launcher is not None
        assert isinstance(job, SweepJob)
        self._launcher = launcher
        self._loader = hydra_context.config_loader
        self._config = config
        self._ticket = job.ticket
        limit = config.sweep.get("max_parallel")
        self._max_batch_size = prepare(launcher, limit, max_batch_size)
        sweep_dir = Path(config.hydra.sweep.dir)
        self._sources = Sources(sweep_dir, config)
        self.table = SweepTable(sweep_dir)

    def launch(
        self,
        job_overrides: Sequence[Sequence[str]],
        axes: Collection[str],
        first_number: int = 0,
    ) -> list[JobRow]:
        """Bring jobs to their end, those that are finished by reading their run.json only.

        Args:
            job_overrides: one list of overrides a job.
            axes: the keys in which they differ.
            first_number: Hydra's number for the first.

        Returns:
            What became of each job; some are not finished where one failed or the sweep was stopped.

        Raises:
            JobChanged: a job's directory holds results of another config, and `sweep.on_change` is error.
        """
        jobs = {naming.digest(overrides): overrides for overrides in job_overrides}
        rows = self.table.add(jobs, axes)
        again = self._to_run_again(jobs)
        todo = [key for key in jobs if key in again or self.table.rows[key].status != "finished"]
        _announce(self.table.sweep_dir, rows, len(todo))
        size = self._max_batch_size or max(1, len(todo))
        with self.table.kept_current():
            for start in range(0, len(todo), size):
                batch = {key: jobs[key] for key in todo[start : start + size]}
                self._finish(batch, first_number + start)
        return rows

    def by_digest(self, job_overrides: Sequence[Sequence[str]]) -> list[JobRow]:
        """Return what is known of jobs, one a list of overrides."""
        return [self.table.rows[naming.digest(overrides)] for overrides in job_overrides]

    def _finish(self, jobs: Mapping[str, Sequence[str]], first_number: int) -> None:
        """Launch jobs, again where the launcher breaks down under them."""
        todo = list(jobs)
        before = {key: self.table.rows[key].modified for key in jobs}
        for _ in range(MAX_BREAKDOWNS):
            if not todo or self._ticket.why_stop() is not None:
                return
            placed = [[*jobs[key], self._place(key)] for key in todo]
            try:
                results = self._launcher.launch(Jobs(placed, self._ticket), first_number)
            except Exception as error:
                todo = [key for key in self._unfinished(before) if self._can_be_composed(jobs[key])]
                if not isinstance(error, HydraException | ConfigError):
                    log.error("poke: the launcher broke down: %s", one_line(error))
            else:
                return self._note_errors(results)

    def _place(self, key: str) -> str:
        return f"hydra.sweep.subdir={self.table.rows[key].directory.name}"

    def _to_run_again(self, jobs: Mapping[str, Sequence[str]]) -> set[str]:
        """The jobs that were run under another config, if those are to be run again."""
        on_change = self._config.sweep.on_change
        again = set()
        for key, overrides in jobs.items():
            row = self.table.rows[key]
            if on_change == "ignore" or row.status not in ("finished", "running", "interrupted"):
                continue
            as_before = self._sources.are_those_of_before and not _was_changed_on_resume(row)
            if as_before and not changed_data(row.account, self._config.data):
                continue
            changed = check_same(row.directory, row.account, self._compose(overrides))
            if changed and on_change == "error":
                raise changed
            if changed:
                again.add(key)
        self._sources.note(all_agree=on_change != "ignore" and not again)
        return again

    def _unfinished(self, before: Mapping[str, int]) -> list[str]:
        """What a launcher that broke down left behind; a job that failed by itself since is not tried again."""
        rows = {key: self.table.rows[key] for key in before}
        for row in rows.values():
            row.look()
        return [
            key
            for key, row in rows.items()
            if row.modified == before[key] or row.status not in ("finished", "failed")
        ]

    def _compose(self, overrides: Sequence[str]) -> dict[str, Any]:
        composed = self._loader.load_sweep_config(self._config, list(overrides))
        return composing.to_plain(composing.without_hydra(composed))

    def _can_be_composed(self, overrides: Sequence[str]) -> bool:
        """Whether a job's overrides fit together; those of a large sweep are not all tried before it starts."""
        try:
            self._compose(overrides)
        except (HydraException, OmegaConfBaseException, ConfigError) as error:
            self.table.rows[naming.digest(overrides)].error = one_line(error)
            return False
        return True

    def _note_errors(self, results: Sequence[JobReturn]) -> None:
        """Keep what was raised before a job had a run.json to write it into."""
        for result in results:
            if result.status == JobStatus.FAILED:
                row = self.table.rows[naming.digest(result.overrides or [])]
                row.error = one_line(result._return_value)


def prepare(launcher: Launcher, limit: int | None, batch_size: int | None) -> int | None:
    """Have a launcher run a limited number of jobs at once, and worker processes leave signals to the sweep.

    Args:
        launcher: joblib, Ray and SLURM bound their jobs themselves; any other is given so many jobs at a time.
        limit: jobs at once; as many as the launcher likes by default.
        batch_size: jobs handed over at a time; all by default.

    Returns:
        The jobs to hand over at a time.
    """
    joblib_options = getattr(launcher, "joblib", None)
    if isinstance(joblib_options, dict):
        joblib_options.update(initializer=worker.begin, pre_dispatch="n_jobs", batch_size=1)
    if limit is None:
        return batch_size
    if isinstance(joblib_options, dict):
        joblib_options["n_jobs"] = min(limit, _num_workers(joblib_options.get("n_jobs")))
        return batch_size
    if hasattr(launcher, "max_parallel"):  # as poke's own for Ray
        launcher.max_parallel = limit
        return batch_size
    if type(launcher).__name__ == "SlurmLauncher":
        params = getattr(launcher, "params")  # noqa: B009 - of a plugin that may not be installed
        params["array_parallelism"] = min(limit, params.get("array_parallelism") or limit)
        return batch_size
    if isinstance(launcher, BasicLauncher):  # one at a time
        return batch_size
    return min(limit, batch_size or limit)


def _num_workers(n_jobs: int | None) -> int:
    """How many processes joblib starts for its `n_jobs`, where -1 means as many as there are cores."""
    from joblib import effective_n_jobs

    try:
        return int(effective_n_jobs(1 if n_jobs is None else n_jobs))
    except ValueError as error:
        raise ConfigError(f"hydra.launcher.n_jobs={n_jobs}: {error}") from error


def _announce(sweep_dir: Path, rows: Sequence[JobRow], num_todo: int) -> None:
    counts = Counter(row.status for row in rows)
    known = ", ".join(f"{counts[status]} {status}" for status in sorted(counts))
    log.info("%s: %d jobs (%s), %d to do", sweep_dir, len(rows), known, num_todo)


def _was_changed_on_resume(row: JobRow) -> bool:
    """A session after the first gave values; accounts of older poke call those resumes."""
    later = [*row.account.get("sessions", [])[1:], *row.account.get("resumes", [])]
    return any(session.get("overrides") for session in later)


def one_line(error: Exception) -> str:
    """Return an error as one line."""
    text = " ".join(str(error).split())
    return (
        text if isinstance(error, (ConfigError, JobFailed)) else f"{type(error).__name__}: {text}"
    )
