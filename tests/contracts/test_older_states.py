"""States as older versions saved them go on as today's do."""

import copy
from pathlib import Path

from poke.training.checkpointing.contents import migrate

from .parts import CASES, assert_equal


def test_normalised_play_of_format_2_goes_on_bit_for_bit():
    """Then weights were the algorithm's, the normaliser the environments', and observations were kept normalised."""
    source, algorithm, _ = CASES["ppo-normalised"]()
    for _ in range(3):
        algorithm.update(source.sample())
    parts = {"policy": algorithm.policy, "algorithm": algorithm, "source": source}
    now = copy.deepcopy({name: part.get_state() for name, part in parts.items()})
    environments = {
        **now["source"]["environments"],
        "normalizer": now["policy"]["normalizer"],
        "observation": now["source"]["seen"],
    }
    then = {
        "components": {
            "algorithm": {**now["algorithm"], "network": now["policy"]["network"]},
            "source": {
                **{k: v for k, v in now["source"].items() if k not in ("seen", "memory", "begins")},
                "environments": environments,
            },
        },
        "metadata": {},
        "random_states": {"torch": None},
        "format_version": 2,
    }
    states = migrate(then, Path("older.pt"))["components"]

    other_source, other, _ = CASES["ppo-normalised"]()
    other.update(other_source.sample())
    for name, part in (("policy", other.policy), ("algorithm", other), ("source", other_source)):
        part.set_state(states[name])
    for _ in range(3):
        assert_equal(
            dict(other.update(other_source.sample())), dict(algorithm.update(source.sample()))
        )
    assert_equal(other.policy.get_state(), algorithm.policy.get_state())
