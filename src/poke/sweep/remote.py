"""Run jobs of a sweep in the processes of a Ray cluster."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


def run_on_ray(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    jobs: Sequence[Sequence[str]],
    first_number: int,
    *,
    init: Mapping[str, Any],
    remote: Mapping[str, Any],
    max_parallel: int | None = None,
) -> list[JobReturn]:
    """Start or join a cluster, run every job as a task of it, and leave it.

    Args:
        context: Hydra's, to compose with.
        task: what a job does.
        config: the sweep's config.
        jobs: overrides of each job.
        first_number: Hydra's number for the first.
        init: options of ``ray.init``; an ``address`` joins a cluster, without one it is started here and stopped.
        remote: options of ``ray.remote``, such as ``num_cpus`` and ``num_gpus``.
        max_parallel: jobs at once; as many as the cluster takes by default.
    """
    import ray

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    ray.init(**init)
    for number, handler in before.items():  # Ray has taken SIGTERM for itself
        signal.signal(number, handler)
    try:
        run = ray.remote(**remote)(_execute)
        state, folder = Singleton.get_state(), os.getcwd()
        waiting = enumerate(jobs, first_number)
        running: dict[Any, int] = {}
        results: dict[int, JobReturn] = {}
        while True:
            room = None if max_parallel is None else max_parallel - len(running)
            for index, overrides in itertools.islice(waiting, room):
                given = (context, task, config, list(overrides), index, state, folder)
                running[run.remote(*given)] = index
            if not running:
                return [results[index] for index in sorted(results)]
            done, _ = ray.wait(list(running))
            results |= {running.pop(each): ray.get(each) for each in done}
    finally:
        ray.shutdown()


def _execute(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    overrides: list[str],
    number: int,
    state: dict[Any, Any],
    folder: str,
) -> JobReturn:
    """Compose and run one job, in a process of the cluster."""
    os.chdir(folder)
    setup_globals()
    Singleton.set_state(state)
    composed = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = f"{composed.hydra.job.name}_{number}"
        composed.hydra.job.num = number
    HydraConfig.instance().set_config(composed)
    return run_job(
        hydra_context=context,
        config=composed,
        task_function=task,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
