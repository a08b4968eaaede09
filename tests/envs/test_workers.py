import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap

import gymnasium as gym
import numpy as np
import pytest

from poke.envs.gym import GymEnvironment
from poke.envs.gym.workers import LEFT_TO_PARENT, EnvironmentFailedError

DEADLINE = 60  # seconds, for what takes fractions of one

PREAMBLE = """
import multiprocessing, os, re, signal, sys, time
import gymnasium as gym
import numpy as np
from poke.envs.gym import workers
from poke.envs.gym import GymEnvironment

class Stuck(gym.Env):
    observation_space = gym.spaces.Box(0, 1, (1,))
    action_space = gym.spaces.Discrete(3)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}
    def step(self, action):
        if action and multiprocessing.parent_process():  # not where it is tried whether it can be copied
            os.write(1, b"in step\\n")
            if action == 2:
                re.match("(a+)+$", "a" * 100 + "b")  # for ever, and no other thread can run
            while True:
                time.sleep(1000)
        return np.zeros(1, np.float32), 0.0, False, False, {}

gym.register("Stuck-v0", Stuck)

def made(id):
    environments = GymEnvironment(id, num_envs=2, vectorization="async").make()
    environments.reset([0])
    assert len(multiprocessing.active_children()) == 2
    return environments
"""


@pytest.fixture
def script():
    """Start a program in a group of processes of its own. All of them are gone once its output ends."""
    started = []

    def start(code):
        process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_signals_to_the_group_leave_the_workers_to_their_parent(script):
    process = script("""
        environments = made("CartPole-v1")
        seen = set()
        for number in workers.LEFT_TO_PARENT:
            signal.signal(number, lambda number, frame: seen.add(number))
        print("stepping", flush=True)
        while len(seen) < len(workers.LEFT_TO_PARENT):
            environments.step(np.zeros(2, np.int64))
        for _ in range(100):
            environments.step(np.zeros(2, np.int64))
        assert len(multiprocessing.active_children()) == 2
        environments.get_state()
        environments.close()
        assert not multiprocessing.active_children()
        print("closed")
    """)
    assert process.stdout.readline() == "stepping\n"
    for number in LEFT_TO_PARENT:
        os.killpg(process.pid, number)
    assert process.communicate(timeout=DEADLINE)[0] == "closed\n"
    assert process.returncode == 0


@pytest.mark.parametrize("action", [0, 1], ids=["between steps", "stuck in a step"])
def test_no_worker_outlives_a_killed_parent(script, action):
    process = script(f"""
        workers.GRACE_SECONDS = 0.1
        environments = made("Stuck-v0")
        environments.step(np.full(2, 0))
        print("ready", flush=True)
        if {action}:
            environments.step(np.full(2, 1))
        time.sleep(1000)
    """)
    lines = ["ready\n"] + 2 * action * ["in step\n"]
    assert [process.stdout.readline() for _ in lines] == lines
    process.kill()
    assert process.communicate(timeout=DEADLINE)[0] == ""  # ends when the last of them has


@pytest.mark.parametrize("action", [1, 2], ids=["asleep", "busy"])
def test_workers_stuck_in_a_step_are_ended_by_closing(script, action):
    process = script(f"""
        workers.GRACE_SECONDS = 0.1
        signal.signal(signal.SIGINT, signal.default_int_handler)
        environments = made("Stuck-v0")
        try:
            environments.step(np.full(2, {action}))
        except KeyboardInterrupt:
            try:
                environments.get_state()
            except workers.EnvironmentFailedError as error:
                print(error)
            environments.close()
            assert not multiprocessing.active_children()
            print("closed")
    """)
    assert [process.stdout.readline() for _ in range(2)] == 2 * ["in step\n"]
    process.send_signal(signal.SIGINT)
    said = "the environments were interrupted in the middle of a step\nclosed\n"
    assert process.communicate(timeout=DEADLINE)[0] == said
    assert process.returncode == 0


def test_a_program_that_forgets_to_close_ends_all_the_same(script):
    process = script("""
        environments = made("CartPole-v1")
        print("end")
    """)
    assert process.communicate(timeout=DEADLINE)[0] == "end\n"
    assert process.returncode == 0


def test_two_sets_of_workers_do_not_keep_each_other_alive(script):
    process = script("""
        first = GymEnvironment("CartPole-v1", num_envs=2, vectorization="async").make()
        second = GymEnvironment("CartPole-v1", num_envs=2, vectorization="async").make()
        workers.GRACE_SECONDS = 1000
        first.close()
        assert len(multiprocessing.active_children()) == 2
        second.reset([0])
        second.close()
        print("closed")
    """)
    assert process.communicate(timeout=DEADLINE)[0] == "closed\n"


class Faulty(gym.Env):
    """What it does depends on the action: 0 steps, 1 raises, 2 ends its process, 3 has it killed."""

    observation_space = gym.spaces.Box(0, 100, (1,), np.float32)
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        if multiprocessing.parent_process() is None:
            action = 0  # it is only tried whether it can be copied
        if action == 1:
            raise LookupError("no such\nmove")
        if action == 2:
            os._exit(3)
        if action == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1
        return np.array([self.count], np.float32), 1.0, False, False, {}


class Unmakeable(Faulty):
    """Can be made by the process that describes it, and by no other."""

    made_in = os.getpid()

    def __init__(self):
        if os.getpid() != self.made_in:
            raise OSError("no licence left")


@pytest.fixture
def faulty():
    gym.register("Faulty-v0", Faulty)
    gym.register("Unmakeable-v0", Unmakeable)
    environments = GymEnvironment("Faulty-v0", num_envs=3, vectorization="async").make()
    environments.reset([0])
    yield environments
    environments.close()
    del gym.registry["Faulty-v0"], gym.registry["Unmakeable-v0"]


def test_an_environment_that_raises_is_one_line_and_the_others_are_as_they_were(faulty):
    with pytest.raises(EnvironmentFailedError) as caught:
        faulty.step(np.array([0, 1, 0]))
    assert str(caught.value) == "environment 1: LookupError: no such move"
    assert "in step" in caught.value.__notes__[0]  # the traceback
    faulty.step(np.zeros(3, np.int64))
    assert faulty.observation.ravel().tolist() == [2, 1, 2]
    assert len(faulty.get_state()["environments"]) == 3


@pytest.mark.parametrize(
    ("action", "fate"), [(2, "ended with status 3"), (3, "was killed by SIGKILL")]
)
def test_a_process_that_dies_is_one_line(faulty, action, fate):
    for _ in range(2):
        with pytest.raises(EnvironmentFailedError, match=f"^the process of environment 2 {fate}$"):
            faulty.step(np.array([0, 0, action]))


def test_what_is_closed_says_so_and_may_be_closed_again(faulty):
    faulty.close()
    faulty.close()
    with pytest.raises(EnvironmentFailedError, match=r"^the environments are closed$"):
        faulty.step(np.zeros(3, np.int64))


def test_an_environment_that_cannot_be_made_in_its_process_is_one_line(faulty):
    environment = GymEnvironment("Unmakeable-v0", num_envs=2, vectorization="async")
    with pytest.raises(EnvironmentFailedError) as caught:
        environment.make()
    assert str(caught.value) == "environment 0: OSError: no licence left"
