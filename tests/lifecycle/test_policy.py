"""What acting takes, as a run keeps it and hands it on."""

import numpy as np
import torch

import poke as library
from poke.training.checkpointing import load_components

from .comparing import assert_same_run, rows
from .conftest import PPO, SMALL, account, checkpoints

NORMALISED = (*PPO, "env.normalize_observation=true", "algo.lr=3e-3", "trainer.max_steps=2560")


def test_the_policy_is_a_component_and_the_algorithm_holds_no_weights(poke):
    poke(*NORMALISED, "trainer.max_steps=640", "hydra.run.dir=run")
    last = max(checkpoints(poke.cwd / "run").items())[1]
    states = load_components(last, ["policy", "algorithm", "source"])
    assert states["policy"]["normalizer"]["count"] > 640
    assert "network" not in states["algorithm"]
    assert "normalizer" not in states["source"]["environments"]


def test_weights_alone_are_a_whole_policy(poke):
    poke(*NORMALISED, "trainer.max_steps=640", "hydra.run.dir=full")
    poke(*NORMALISED, "trainer.max_steps=640", "hydra.run.dir=run", "checkpoint.contents=weights")
    last = max(checkpoints(poke.cwd / "run").items())[1]
    assert torch.load(last, weights_only=True)["components"].keys() == {"policy"}
    observations = np.random.default_rng(0).normal(size=(50, 4))
    policies = [library.load(poke.cwd / name) for name in ("full", "run")]
    values = [p.act(observations, return_info=True)[1]["value"] for p in policies]
    assert np.array_equal(*values)


def test_a_warm_start_plays_as_what_it_starts_from(poke):
    poke(*NORMALISED, "hydra.run.dir=teacher")
    found = account(poke.cwd / "teacher")["best"]["value"]
    untrained = ("trainer.max_steps=0", "algo.schedule_steps=1")
    poke(*NORMALISED, *untrained, "init_from=teacher", "hydra.run.dir=run")
    assert account(poke.cwd / "run")["final"]["eval/return_mean"] == found


def test_a_warm_start_between_raw_and_normalised_observations_is_refused(poke):
    poke(*PPO, "trainer.max_steps=64", "hydra.run.dir=raw")
    said = poke(*NORMALISED, "init_from=raw", "hydra.run.dir=run", expect=1)
    assert "its env.normalize_observation is false, here it is true" in said


def test_a_clone_is_what_reinforcement_goes_on_from(poke):
    poke(*SMALL, "trainer.max_steps=20", "hydra.run.dir=clone")
    policy = library.load(poke.cwd / "clone")
    _, info = policy.act(
        np.zeros((3, *policy.observation_space.shape), np.int8),
        action_mask=np.ones((3, policy.action_space.mask_size)),
        return_info=True,
    )
    assert info["probabilities"].shape == (3, policy.action_space.mask_size)
    assert "value" not in info


def test_scaled_rewards_follow_the_algorithms_own_discount(poke):
    scaled = (*PPO, "trainer.max_steps=320", "env.normalize_reward=true")
    poke(*scaled, "algo.gamma=0.5", "hydra.run.dir=follows")
    poke(*scaled, "algo.gamma=0.5", "env.reward_gamma=0.5", "hydra.run.dir=says")
    poke(*scaled, "algo.gamma=0.5", "env.reward_gamma=0.9", "hydra.run.dir=other")

    assert_same_run(poke.cwd / "follows", poke.cwd / "says")
    assert rows(poke.cwd / "follows") != rows(poke.cwd / "other")
