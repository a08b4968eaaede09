"""`sweep.max_parallel` bounds every launcher that runs several jobs at once, in the way it has itself."""

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher

from poke.sweep.launching import prepare


class Joblib:
    def __init__(self, **options):
        self.joblib = options


class SlurmLauncher:
    def __init__(self, **params):
        self.params = params


class Told:
    max_parallel = None


class Other:
    """Runs all that it is given at once."""


@pytest.mark.parametrize(
    ("n_jobs", "limit", "expected"),
    [(4, 2, 2), (2, 4, 2), (None, 4, 1), (-1, 1, 1), (4, None, 4)],
)
def test_joblib_starts_no_more_processes(n_jobs, limit, expected):
    pytest.importorskip("joblib")
    launcher = Joblib(n_jobs=n_jobs)
    assert prepare(launcher, limit, None) is None
    assert launcher.joblib["n_jobs"] == expected


@pytest.mark.parametrize(("given", "limit", "expected"), [(256, 3, 3), (2, 3, 2), (None, 3, 3)])
def test_slurm_bounds_its_array(given, limit, expected):
    launcher = SlurmLauncher(array_parallelism=given)
    assert prepare(launcher, limit, None) is None
    assert launcher.params["array_parallelism"] == expected


def test_a_launcher_that_knows_the_bound_is_told():
    launcher = Told()
    assert prepare(launcher, 3, 7) == 7
    assert launcher.max_parallel == 3


@pytest.mark.parametrize(
    ("limit", "batch_size", "expected"), [(3, None, 3), (3, 2, 2), (2, 3, 2), (None, 5, 5)]
)
def test_any_other_gets_so_many_jobs_at_a_time(limit, batch_size, expected):
    assert prepare(Other(), limit, batch_size) == expected


def test_one_that_runs_one_job_at_a_time_gets_them_all():
    assert prepare(BasicLauncher(), 3, None) is None
