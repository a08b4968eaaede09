"""A replay buffer of battles: what was refused is no transition, and masks are those of the decisions."""

import numpy as np
import pytest

from poke.data.replay import Replay
from poke.envs.showdown.battles import BattleEnvironment

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]


class Forgetful:
    normalizer = None

    def initial_state(self, batch_size):
        return None


class Watching:
    """Draws among what is legal, and keeps what it saw and did."""

    policy = Forgetful()

    def __init__(self, action_space):
        self.action_space = action_space
        self.generator = np.random.default_rng(0)
        self.asked = set()

    def explore(self, observation, action_mask):
        action = self.action_space.draw(self.generator, len(observation), action_mask)
        for row in zip(observation, action_mask, action, strict=True):
            self.asked.add(tuple(part.tobytes() for part in row))
        return action


@pytest.mark.slow
def test_a_buffer_of_battles_holds_their_decisions_and_goes_on_from_its_state():
    # Who is trapped by an ability that was never shown learns of it by a refused switch.
    environment = BattleEnvironment(
        format="gen8randombattle",
        opponent="random",
        reward="shaped",
        num_envs=8,
        num_workers=1,
        load_policy=None,
        copy_policy=None,
    )
    options = {"capacity": 3000, "batch_size": 32, "train_freq": 8, "n_step": 3, "alpha": 0.6}
    source, other = (Replay(environment, seed=seed, **options) for seed in (1, 2))
    try:
        algorithm = Watching(environment.action_space)
        source.attach(algorithm)
        played = num_void = 0
        while played < 1500:
            experience = source.sample()
            played += experience.num_steps
            num_void += 8 * options["train_freq"] - experience.num_steps
            parts = list(experience.minibatches)
        held = source._ring.select(np.arange(len(source._ring)))
        assert num_void > 0
        # All but what waits: at most three an environment.
        assert played - 24 <= len(source._ring) <= played
        mask, after = held.action_mask.numpy(), held.next_action_mask.numpy()
        action = held.action.numpy()
        assert mask[np.arange(len(mask)), action].all()
        assert after.any(axis=1).all()
        for k in range(len(held)):
            made = (held.observation[k].numpy(), mask[k], action[k])
            assert tuple(part.tobytes() for part in made) in algorithm.asked
        assert held.terminated.any()
        assert set(held.length.tolist()) == {1, 2, 3}
        assert ((held.reward != 0).sum(dim=1) <= held.length).all()
        assert all(part.weight is not None for part in parts)

        algorithm.generator = np.random.default_rng(5)
        state = source.get_state()
        other.attach(Watching(environment.action_space))
        other._explorer.generator = np.random.default_rng(5)
        other.set_state(state)
        for _ in range(3):
            first, second = (next(iter(s.sample().minibatches)) for s in (source, other))
            assert first.observation.equal(second.observation)
            assert first.reward.equal(second.reward)
    finally:
        source.close()
        other.close()
