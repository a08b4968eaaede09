"""What is in the buffer, and drawn, are true n-step transitions of what was played, and all of them."""

import numpy as np
import pytest

from poke.spaces import ObservationNormalizer

from .scripted import SEEN, Chance, assert_are, expected, held, replaying

KINDS = {
    "at once": {"at_once": True},
    "a step later": {"at_once": False},
    "masked": {"at_once": False, "masked": True},
    "the last mask is lost": {"at_once": True, "masked": True},
    "refused": {"at_once": True, "masked": True, "refusing": True},
    "refused, a step later": {"at_once": False, "masked": True, "refusing": True},
    "short": {"at_once": True, "masked": True, "refusing": True, "length": 1.5},
}


@pytest.mark.parametrize("n_step", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_buffer_holds_every_transition_that_was_played_and_no_other(kind, n_step, seed):
    source = replaying(n_step=n_step, seed=seed, train_freq=7, **KINDS[kind])
    clock = 0
    for _ in range(20):
        clock += source.sample().num_steps
        episodes = source.environments.episodes()
        truth = expected(episodes, n_step)
        counts = assert_are(held(source), truth)
        assert counts.keys() == truth.keys()
        assert set(counts.values()) <= {1}
    assert clock == sum(len(decisions) for decisions, _, _ in episodes)
    if source.environments.refusing:
        assert clock < 20 * 7 * 3


@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_are_the_newest_of_them(kind, alpha):
    source = replaying(
        n_step=3, capacity=40, train_freq=5, updates=4, alpha=alpha, batch_size=32, **KINDS[kind]
    )
    for _ in range(40):
        experience = source.sample()
        truth = expected(source.environments.episodes(), 3)
        parts = list(experience.minibatches)
        assert len(parts) == experience.num_minibatches == (4 if len(source._ring) >= 32 else 0)
        kept = assert_are(held(source), truth)
        for part in parts:
            assert assert_are(part, truth).keys() <= kept.keys()
            experience.tell(part, part.reward[:, 0].abs())
    assert len(source._ring) == 40
    assert max(kept) > max(truth) - 60


def test_what_waits_while_episodes_begin_anew_is_forgotten():
    source = replaying(n_step=3, train_freq=7, num_envs=2)
    source.sample()
    source.set_state(source.get_state())  # these cannot be copied
    assert not source.exact_resume
    source.sample()
    truth = expected(source.environments.episodes(), 3)
    assert assert_are(held(source), truth).keys() == truth.keys()
    assert len(source.environments.resets) == 2
    assert source.environments.resets[0] != source.environments.resets[1]


def test_observations_are_kept_as_they_came_and_normalised_by_what_is_known_when_they_are_drawn():
    normalizer = ObservationNormalizer(SEEN, 10.0)
    algorithm = Chance(normalizer)
    source = replaying(algorithm, train_freq=20)
    for _ in range(3):
        experience = source.sample()
        for part in experience.minibatches:
            raw = held(source)
            for name in ("observation", "next_observation"):
                kept = getattr(raw, name)[part.rows].numpy()
                np.testing.assert_array_equal(getattr(part, name), normalizer(kept))
    assert max(np.abs(seen).max() for seen in algorithm.seen) <= 10
    assert np.array_equal(held(source).observation[:, 0], -held(source).observation[:, 1])
    # Each is learned of once: those that were begun with, and 3 a step since.
    assert normalizer.moments.count == pytest.approx(3 + 3 * 60)
