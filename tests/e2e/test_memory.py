"""What training takes, each in a process of its own: in a shared one the other tests' memory is measured too."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BATTLES = f"data.path={Path(__file__).with_name('battles.parquet')}"

MEASURE = """
import gc, re, sys
import psutil, torch
from poke.config import composing
from poke.run.agent import Agent

def resident():
    gc.collect()
    return psutil.Process().memory_info().rss

def peak():
    # getrusage's is inherited from the process that started this one
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""

GROWTH = """
agent = Agent(composing.to_plain(composing.compose("train", sys.argv[1:])))

def train(num_updates):
    for _ in range(num_updates):
        agent.algorithm.update(agent.source.sample())
    return resident()

before = train(500)
print(train(10_000) - before)
"""

DATASET = """
from poke.data import trajectories
from poke.data.demonstrations import Demonstrations

small, large = sys.argv[1:]
Demonstrations(small, batch_size=512, val_fraction=0.1)  # what pyarrow takes for itself
before = resident()
source = Demonstrations(large, batch_size=512, val_fraction=0.1)
for _ in range(source.num_training // 512 + 1):
    source.sample()
used = peak() - before
data = trajectories.read(large)
print(used, data.observation.nbytes + data.action.nbytes + data.action_mask.nbytes)
"""


def measure(script: str, *arguments: str) -> list[int]:
    command = [sys.executable, "-c", MEASURE + script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [int(number) for number in done.stdout.split()]


@pytest.mark.parametrize(
    "overrides",
    [
        (
            *("algo=ppo", "env.num_envs=1", "data.num_steps=2"),
            *("algo.minibatch_size=2", "algo.num_epochs=1"),
        ),
        (BATTLES, "network=mlp", "network.hidden_sizes=[8]", "data.batch_size=8"),
    ],
    ids=["ppo", "bc"],
)
def test_memory_does_not_grow_over_ten_thousand_updates(overrides):
    (growth,) = measure(GROWTH, *overrides)
    assert growth < 4 * 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_dataset_takes_at_most_twice_its_decoded_size():
    used, decoded = measure(DATASET, BATTLES.removeprefix("data.path="), "sample:gen1randombattle")
    assert used <= 2 * decoded
