"""What is asked of a part: poke's own have it, and one that lacks something is answered in one line at the start."""

import inspect
import json
import textwrap

import pytest
from hydra.utils import get_object

from poke import protocols
from poke.config.schema import TARGETS
from poke.protocols import GIVEN, OF_GROUP, Stateless, missing

OF_POKES = {
    "poke.algorithms.": "algo",
    "poke.data.": "data",
    "poke.training.writers.": "logger",
}


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_pokes_own_classes_have_the_methods_of_their_protocols(target):
    found = get_object(target)
    if "Evaluator" in target:
        group = "eval"
    else:
        group = next((g for room, g in OF_POKES.items() if target.startswith(room)), None)
    if group is not None:
        assert missing(found, OF_GROUP[group]) == []


def test_what_is_missing_is_said_in_the_protocols_order():
    class Half(Stateless):
        epoch = 0

    assert missing(Half(), protocols.Source) == ["observation_space", "action_space", "sample"]
    assert missing(Half, protocols.Source) == ["sample"]  # the rest may come with the object


def test_torchs_names_for_a_state_are_taken():
    class Saved:
        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    assert missing(Saved(), protocols.Stateful) == []


@pytest.mark.parametrize(
    ("defaults", "protocol"),
    [
        (protocols.SourceDefaults, protocols.Source),
        (protocols.EvaluatorDefaults, protocols.Evaluator),
        (protocols.WriterDefaults, protocols.Writer),
        (protocols.VectorEnvironmentDefaults, protocols.VectorEnvironment),
    ],
)
def test_defaults_leave_only_what_nobody_else_can_know(defaults, protocol):
    assert set(missing(defaults(), protocol)) <= {
        *("observation_space", "action_space", "sample", "get_state", "set_state"),
        *("category", "evaluate", "write"),
        *("num_envs", "action_space", "observation", "reward", "terminated", "truncated", "idle"),
        *("finished", "finished_envs", "begun", "so_far", "reset", "step"),
    }


def test_everything_asked_for_is_explained():
    for group, protocol in OF_GROUP.items():
        assert inspect.getdoc(protocol)
        assert all(isinstance(purpose, str) and purpose for purpose in GIVEN[group].values())


OWN_ENVIRONMENTS = """
    import numpy as np

    from poke.protocols import EnvironmentDefaults, VectorEnvironmentDefaults
    from poke.spaces import ActionSpace, ObservationSpace


    class Signs(VectorEnvironmentDefaults):
        action_space = ActionSpace.discrete(2)
        length = 10

        def __init__(self, num_envs):
            self.num_envs = num_envs
            self.reward = np.zeros(num_envs, np.float32)
            self.terminated, self.truncated, self.idle = np.zeros((3, num_envs), bool)
            self.finished, self.finished_envs = [], []

        def so_far(self, i):
            return float(self.total[i]), self.time

        def reset(self, entropy):
            self.generator = np.random.default_rng(entropy)
            self.time, self.total = 0, np.zeros(self.num_envs)
            self.begun = list(range(self.num_envs))
            self.observation = self.generator.normal(size=(self.num_envs, 1)).astype(np.float32)

        def step(self, action):
            self.reward[:] = (self.observation[:, 0] > 0) == action
            self.time, self.total = self.time + 1, self.total + self.reward
            over = self.time == self.length
            self.terminated[:] = over
            self.begun = self.finished_envs = list(range(self.num_envs)) if over else []
            self.finished = [(float(self.total[i]), self.length) for i in self.finished_envs]
            if over:
                self.time, self.total = 0, np.zeros(self.num_envs)
            self.observation[:] = self.generator.normal(size=(self.num_envs, 1))


    class SignsMaker(EnvironmentDefaults):
        observation_space, action_space = ObservationSpace.box((1,)), Signs.action_space

        def __init__(self, num_envs: int = 4):
            self.num_envs = num_envs

        def make(self):
            return Signs(self.num_envs)

        def make_evaluation(self, num_envs, *, render=False):
            return Signs(num_envs)
"""


def test_environments_of_ones_own_need_what_the_protocols_say_and_no_more(zygote, tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(OWN_ENVIRONMENTS))
    own = ("algo=ppo", "env._target_=mine.SignsMaker", "device=cpu", "hydra.run.dir=run")
    length = ("trainer.max_steps=4096", "trainer.eval_every=2048")
    for command in ((*own, *length), ("resume=run", "trainer.max_steps=6144")):
        done = zygote.run("-m", "poke.train", *command, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    account = json.loads((tmp_path / "run" / "run.json").read_text())
    assert account["best"]["value"] > 9  # of 10; 5 by chance


def test_a_part_that_lacks_an_attribute_is_answered_in_one_line(zygote, tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
            from poke.protocols import SourceDefaults, Stateless

            class Source(SourceDefaults, Stateless):
                def sample(self):
                    return None
        """)
    )
    command = ("-m", "poke.train", "data._target_=mine.Source", "device=cpu")
    done = zygote.run(*command, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    (line,) = (done.stdout + done.stderr).splitlines()
    assert "mine.Source has no observation_space, action_space: see Source" in line
