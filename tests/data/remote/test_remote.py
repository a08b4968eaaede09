"""Blocks that are played in other processes: how they are joined, and what becomes of a player that is lost."""

import copy
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poke.algorithms.ppo import PPO
from poke.data.remote import Player, RemoteCollector
from poke.data.remote.crew import MAX_LOSSES, ActorLostError, CrewError
from poke.envs.gym import GymEnvironment
from poke.run.telling.causes import OUTSIDE, cause_of

from ...contracts.parts import PPO_VALUES, assert_equal, policy_maker, through_a_file

NORMALISED = {"normalize_observation": True, "normalize_reward": True}


class Here:
    """A cluster whose processes are objects, some of which are lost when they are asked for something."""

    def __init__(self):
        self.made = []  # the processes, in order
        self.losses = {}  # by process: how often it has been asked for a block when it is lost
        self.is_closed = False

    def start(self):
        self.made.append(SimpleNamespace(part=None, num_blocks=0, is_lost=False))
        return self.made[-1]

    def make(self, process, make):
        return self._do(process, lambda: setattr(process, "part", make()))

    def ask(self, process, method, *arguments):
        number = self.made.index(process)
        process.num_blocks += method == "play"
        if process.num_blocks == self.losses.get(number):
            process.is_lost = True
        return self._do(process, lambda: getattr(process.part, method)(*arguments))

    def answer(self, ticket):
        value, error = ticket
        if error is not None:
            raise error
        return value

    def share(self, value):
        return copy.deepcopy(value)

    def stop(self, process):
        process.is_lost = True

    def close(self):
        self.is_closed = True

    def _do(self, process, work):
        if process.is_lost:
            return None, ActorLostError("its process is gone")
        try:
            return work(), None
        except Exception as error:
            return None, error


def environment(num_envs, **options):
    return GymEnvironment(
        "CartPole-v1", num_envs=num_envs, vectorization="serial", max_episode_steps=7, **options
    )


def learner(source, seed):
    torch.manual_seed(0)
    return PPO(policy_maker(source), seed=seed, **PPO_VALUES)


def collecting(cluster=None, *, num_actors=2, num_envs=4, seed=1, **options):
    """Return a source that has an algorithm, and that algorithm."""
    seeds = []

    def make_player(*, data, num_envs, seed):
        seeds.append(seed)
        player = Player(
            environment(num_envs, probe_exact=False, **options),
            num_steps=data["num_steps"],
            episode_window=data["episode_window"],
            seed=seed,
        )
        player.attach(learner(player, seed))
        return SimpleNamespace(source=player)

    cluster = cluster or Here()
    source = RemoteCollector(
        environment(num_envs, **options),
        num_steps=16,
        num_actors=num_actors,
        make_player=make_player,
        seed=seed,
        join=lambda address, size: cluster,
    )
    source.attach(algorithm := learner(source, seed))
    source.seeds = seeds
    return source, algorithm


def rows(block):
    return {name: values.copy() for name, values in block.rows().items()}


def test_a_block_has_the_environments_of_all_actors_in_their_order():
    cluster = Here()
    source, _ = collecting(cluster)
    block = source.sample()
    players = [process.part for process in cluster.made]
    for name, whole in block.rows().items():
        axis = 0 if name in ("last_value", "last_idle", "state") else 1
        parts = [player._blocks[0].rows()[name] for player in players]
        np.testing.assert_array_equal(whole, np.concatenate(parts, axis), err_msg=name)
    assert block.num_steps == 4 * 16
    assert not np.array_equal(block.observation[:, :2], block.observation[:, 2:])


def test_actors_play_by_the_weights_of_now():
    source, algorithm = collecting()
    for _ in range(3):
        block = source.sample()
        value = algorithm.value(block.observation.reshape(-1, 4)).reshape(16, 4)
        np.testing.assert_allclose(block.value, value, atol=1e-6)
        algorithm.update(block)


def test_the_same_seed_gives_the_same_training_and_another_one_another():
    def trained(seed):
        source, algorithm = collecting(seed=seed, **NORMALISED)
        return [algorithm.update(source.sample()) for _ in range(3)]

    assert trained(1) == trained(1)
    assert trained(1) != trained(2)


def test_what_all_actors_have_seen_is_known_to_all():
    cluster = Here()
    source, algorithm = collecting(cluster, **NORMALISED)
    seen, returns = [], []
    for process in cluster.made:
        play = process.part._play
        learn, scaler = play.normalizer.learn, play.environments._scaler
        update = scaler.moments.update
        play.normalizer.learn = lambda x, learn=learn: (seen.append(x.copy()), learn(x))
        scaler.moments.update = lambda x, update=update: (returns.append(x.copy()), update(x))
    for _ in range(2):
        source.sample()
    moments = algorithm.policy.normalizer.moments
    np.testing.assert_allclose(moments.mean, np.concatenate(seen).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(moments.variance, np.concatenate(seen).var(axis=0), rtol=1e-3)
    (rewards,) = source._moments
    np.testing.assert_allclose(rewards.mean, np.concatenate(returns).mean(), rtol=1e-4)
    np.testing.assert_allclose(rewards.variance, np.concatenate(returns).var(), rtol=1e-3)


def test_episodes_of_all_actors_are_told_of():
    cluster = Here()
    source, _ = collecting(cluster)
    block = source.sample()
    ended = block.terminated | block.truncated
    num_steps = sum(
        np.count_nonzero(~block.idle[: 1 + np.flatnonzero(ended[:, i])[-1], i]) for i in range(4)
    )
    assert block.metrics["episodes"] == np.count_nonzero(ended) >= 8
    assert block.metrics["episode_length"] == num_steps / np.count_nonzero(ended)
    assert block.metrics["episode_return"] == block.metrics["episode_length"]


def test_a_lost_actor_is_replaced_by_one_that_plays_by_other_seeds(caplog):
    cluster = Here()
    cluster.losses[1] = 2
    source, _ = collecting(cluster)
    undisturbed, _ = collecting()
    for number in range(2):
        block, expected = source.sample(), undisturbed.sample()
        assert block.metrics["actors_replaced"] == number
        # The other one plays on as it would have.
        np.testing.assert_array_equal(block.observation[:, :2], expected.observation[:, :2])
        same = np.array_equal(block.observation[:, 2:], expected.observation[:, 2:])
        assert same == (number == 0)
    assert len({*source.seeds}) == len(source.seeds) == 3
    (line,) = caplog.messages
    assert line == "actor 1 was lost: its process is gone; another one takes its place"


def test_an_actor_that_is_lost_again_and_again_ends_the_run():
    cluster = Here()
    source, _ = collecting(cluster)
    source.sample()
    cluster.losses |= {0: 2, 2: 1, 3: 1}
    with pytest.raises(CrewError, match=r"^actor 0 was lost 3 times in a row without a block") as e:
        source.sample()
    assert len(cluster.made) == 2 + MAX_LOSSES - 1
    assert cause_of(e.value) == OUTSIDE


def test_losses_with_a_block_in_between_do_not():
    cluster = Here()
    cluster.losses |= {0: 1, 2: 2, 3: 2, 4: 2}
    source, _ = collecting(cluster)
    for _ in range(5):
        block = source.sample()
    assert block.metrics["actors_replaced"] == 4
    assert len({*source.seeds}) == len(source.seeds) == 6


def test_what_is_raised_while_an_actor_plays_is_raised():
    cluster = Here()
    source, _ = collecting(cluster)

    def step(action):
        raise ArithmeticError("the game broke")

    cluster.made[1].part.environments.step = step
    with pytest.raises(ArithmeticError, match="the game broke"):
        source.sample()
    assert len(cluster.made) == 2


def test_it_goes_on_with_new_episodes_and_what_it_has_learned(tmp_path):
    source, algorithm = collecting(**NORMALISED)
    for _ in range(2):
        algorithm.update(source.sample())
    assert (source.exact_resume, source.inexact_reason) == (
        False,
        "environments in a cluster are not saved",
    )
    state = through_a_file(source.get_state(), tmp_path / "state.pt")
    other, learning = collecting(**NORMALISED)
    first = rows(collecting(**NORMALISED)[0].sample())
    learning.policy.set_state(algorithm.policy.get_state())
    other.set_state(state)
    assert_equal([m.get_state() for m in other._moments], [m.get_state() for m in source._moments])
    count = learning.policy.normalizer.moments.count
    block = other.sample()
    assert learning.policy.normalizer.moments.count > count
    assert len(other.seeds) == 4
    assert not {*source.seeds} & {*other.seeds[2:]}
    assert not np.array_equal(rows(block)["observation"], first["observation"])
    assert "episode_return" in block.metrics


def test_it_goes_on_with_another_number_of_actors(caplog, tmp_path):
    source, _ = collecting(**NORMALISED)
    source.sample()
    state = through_a_file(source.get_state(), tmp_path / "state.pt")
    for num_actors in (1, 4):
        other, _ = collecting(num_actors=num_actors, **NORMALISED)
        with caplog.at_level(logging.INFO, "poke"):
            other.set_state(state)
        assert f"going on with {num_actors} actors, where there were 2" in caplog.messages
        assert other.sample().num_samples > 0


def test_a_checkpoint_does_without_an_actor_that_is_lost():
    cluster = Here()
    source, _ = collecting(cluster)
    source.sample()
    known = source.get_state()
    cluster.made[0].is_lost = True
    assert_equal(source.get_state(), known)
    assert source.sample().metrics["actors_replaced"] == 1


def test_a_mistake_is_answered_in_one_line_and_leaves_no_cluster():
    with pytest.raises(ValueError, match=r"^env\.num_envs=3 cannot be shared equally"):
        collecting(num_envs=3)
    cluster = Here()

    def broken(**how):
        raise ValueError("no such game")

    with pytest.raises(ValueError, match="no such game"):
        RemoteCollector(
            environment(2),
            num_steps=4,
            num_actors=2,
            make_player=broken,
            join=lambda address, size: cluster,
        )
    assert cluster.is_closed
