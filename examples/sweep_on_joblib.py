r"""A sweep whose jobs run two at a time, each in a process of its own, and the table of what came of it.

    pip install 'poke[sweep]'
    python examples/sweep_on_joblib.py algo.lr=3e-4,1e-3,3e-3

is the same as

    python -m poke.train -m sweep=joblib hydra/launcher=joblib hydra.launcher.n_jobs=2 network=mlp seed=0,1,2 \
        trainer.max_steps=200 trainer.eval_every=100 algo.lr=3e-4,1e-3,3e-3
    python -m poke.compare multirun/joblib

Given again with more values, it runs only the jobs that are not finished yet.
"""

import sys

from poke.compare import main as compare
from poke.train import main as train

SWEEP = ["-m", "sweep=joblib", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
LENGTH = ["trainer.max_steps=200", "trainer.eval_every=100"]
JOBS = ["network=mlp", "algo.lr=3e-4,3e-3", "seed=0,1,2", *LENGTH]

if __name__ == "__main__":
    status = train([*SWEEP, *JOBS, *sys.argv[1:]])
    sys.exit(status or compare(["multirun/joblib"]))
