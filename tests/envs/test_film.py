from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poke.envs import evaluation
from poke.envs.evaluation import EpisodeEvaluator
from poke.envs.gym import GymEnvironment

pytest.importorskip("pygame", reason="drawing classic control needs pygame (the extra video)")


class Playing:
    """An algorithm and its policy in one."""

    def __init__(self, decide):
        self.decide = decide
        self.policy = self

    def initial_state(self, batch_size):
        return None

    def choose(self, observation, **_):
        return SimpleNamespace(action=self.decide(observation).astype(np.int64))


def balancer():
    """Leans against the pole's fall: keeps CartPole up for a while."""
    return Playing(lambda seen: seen[:, 2] + 0.5 * seen[:, 3] > 0)


def evaluator(**options):
    environment = GymEnvironment("CartPole-v1", num_envs=1)
    return EpisodeEvaluator(environment, episodes=2, seed=3, **options)


def test_without_video_there_is_no_film():
    plain = evaluator()
    plain.evaluate(balancer())
    assert plain.film is None


def test_a_film_shows_the_episode_and_changes_nothing():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    filming = evaluator(video=True)
    assert filming.evaluate(balancer()) == evaluator().evaluate(balancer())
    assert torch.equal(torch.get_rng_state(), state)
    film = filming.film
    assert film.dtype == np.uint8
    assert film.shape[1:] == (400, 600, 3)
    assert evaluation.MAX_FRAMES / 2 <= len(film) <= evaluation.MAX_FRAMES
    assert (film[0] != film[-1]).any()


def test_a_short_film_has_every_step():
    filming = evaluator(video=True)
    filming.evaluate(Playing(lambda seen: np.zeros(len(seen))))
    assert 8 <= len(filming.film) <= 11  # CartPole pushed one way falls within these many steps
