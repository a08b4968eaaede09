"""Load a trained policy and play an episode with it, by nothing but Gymnasium's own loop.

    python examples/load_and_play.py [RUN]

RUN is a run's directory, or a checkpoint; without one, a policy for CartPole is trained first, in outputs/cartpole.
"""

import sys

import gymnasium as gym

import poke
from poke.train import main


def play(policy, env, seed=0):
    """Return what an episode was worth."""
    observation, info = env.reset(seed=seed)
    state = policy.initial_state()  # None where the policy has no memory
    total, over = 0.0, False
    while not over:
        action = policy.act(observation, info=info, state=state)
        observation, reward, terminated, truncated, info = env.step(action)
        total, over = total + reward, terminated or truncated
    return total


if __name__ == "__main__":
    run = sys.argv[1] if len(sys.argv) > 1 else "outputs/cartpole"
    if len(sys.argv) == 1:
        main(["algo=ppo", f"hydra.run.dir={run}", "resume=auto", "trainer.max_steps=10_000"])
    print("an episode is worth", play(poke.load(run), gym.make("CartPole-v1")))
