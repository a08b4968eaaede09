"""Where the time goes: fractions that add up to one, rates, memory."""

import itertools
import os
import subprocess
import sys

import pytest

from poke.training.logging.timing import SECTIONS, StepTimer


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def spend(timer, clock, section, seconds):
    timer.switch(section)
    clock.now += seconds


def test_time_goes_to_the_section_it_was_spent_in(clock):
    timer = StepTimer(clock)
    clock.now += 1  # before the first switch
    for _ in range(2):
        spend(timer, clock, "data", 2)
        spend(timer, clock, "update", 5)
        spend(timer, clock, "log", 0.5)
        timer.count(num_steps=3, num_samples=96)
    spend(timer, clock, "eval", 3)
    spend(timer, clock, "checkpoint", 1)
    times = timer()["time"]
    assert times == {
        "steps_per_second": 6 / 20,
        "samples_per_second": 192 / 20,
        "data_fraction": 4 / 20,
        "update_fraction": 10 / 20,
        "eval_fraction": 3 / 20,
        "checkpoint_fraction": 1 / 20,
        "log_fraction": 1 / 20,
        "other_fraction": 1 / 20,
    }


def test_fractions_always_add_up_to_one(clock):
    timer = StepTimer(clock)
    for seconds, section in zip((0.1, 0.7, 1e-6, 30.0), itertools.cycle(SECTIONS), strict=False):
        spend(timer, clock, section, seconds)
        times = timer()["time"]
        fractions = [value for name, value in times.items() if name.endswith("_fraction")]
        assert sum(fractions) == pytest.approx(1)
        assert len(fractions) == len(SECTIONS)


def test_each_report_is_of_the_time_since_the_last(clock):
    timer = StepTimer(clock)
    spend(timer, clock, "update", 4)
    timer.count(8, 8)
    assert timer()["time"]["steps_per_second"] == 2
    clock.now += 5  # still in update
    times = timer()["time"]
    assert times["steps_per_second"] == 0
    assert times["update_fraction"] == 1


def test_nothing_is_reported_of_no_time(clock):
    timer = StepTimer(clock)
    assert timer() == {}


def test_an_unknown_section_is_refused(clock):
    with pytest.raises(ValueError, match="section"):
        StepTimer(clock).switch("lunch")


def test_process_memory_is_reported_in_bytes(clock):
    timer = StepTimer(clock)
    clock.now += 1
    memory = timer()["system"]["process_memory_bytes"]
    with open(f"/proc/{os.getpid()}/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert memory == pytest.approx(resident, rel=0.2)


def test_importing_it_imports_no_torch():
    code = "import sys, poke.training.logging.timing; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
