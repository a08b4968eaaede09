"""What is asked of a part: poke's own have it, and one that lacks something is answered in one line at the start."""

import inspect
import subprocess
import sys
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
        *("num_envs", "observation", "reward", "terminated", "truncated", "idle"),
        *("finished", "finished_envs", "step"),
    }


def test_everything_asked_for_is_explained():
    for group, protocol in OF_GROUP.items():
        assert inspect.getdoc(protocol)
        assert all(isinstance(purpose, str) and purpose for purpose in GIVEN[group].values())


def test_a_part_that_lacks_an_attribute_is_answered_in_one_line(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
            from poke.protocols import SourceDefaults, Stateless

            class Source(SourceDefaults, Stateless):
                def sample(self):
                    return None
        """)
    )
    command = [sys.executable, "-m", "poke.train", "data._target_=mine.Source", "device=cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    (line,) = (done.stdout + done.stderr).splitlines()
    assert "mine.Source has no observation_space, action_space: see Source" in line
