"""Environments whose observations are numbers that never come again, and what transitions they make, slowly."""

from collections import Counter

import numpy as np

from poke.data.replay import Replay
from poke.protocols import VectorEnvironmentDefaults
from poke.spaces import ActionSpace, ObservationSpace

SEEN = ObservationSpace.box((2,))
CHOICES = ActionSpace.discrete(4)


class Scripted(VectorEnvironmentDefaults):
    """Episodes of drawn lengths that terminate or are cut off.

    Args:
        num_envs: environments.
        seed: of everything drawn.
        at_once: what ends begins anew in that step; otherwise a step later.
        masked: three of four actions are legal at most.
        refusing: a choice may be refused: nothing happens, and the mask loses it.
        length: mean of an episode.
    """

    def __init__(self, num_envs=3, *, seed=0, at_once=True, masked=False, refusing=False, length=6):
        self.num_envs, self.at_once, self.refusing, self.length = (
            num_envs,
            at_once,
            refusing,
            length,
        )
        self.rng = np.random.default_rng(seed)
        self.action_space = CHOICES
        self.observation = np.zeros((num_envs, 2), np.float32)
        self.action_mask = np.ones((num_envs, 4), bool) if masked else None
        self.reward = np.zeros(num_envs, np.float32)
        self.terminated, self.truncated, self.idle = np.zeros((3, num_envs), bool)
        self.void = np.zeros(num_envs, bool) if refusing else None
        self.finished, self.finished_envs, self.begun = [], [], []
        self.final_observations = {}
        self.resets = []
        self.count = 0
        # What happened: by environment a list of episodes, each its decisions and how it ended.
        self.decisions = [[] for _ in range(num_envs)]
        self.past = []

    def reset(self, entropy):
        self.resets.append(list(entropy))
        for i in range(self.num_envs):
            if self.decisions[i]:
                self.past.append((self.decisions[i], "lost", None))
            self._begin(i)
        self.idle[:] = False

    def step(self, action):
        if self.refusing:
            self.void[:] = False
        self.terminated[:] = self.truncated[:] = False
        self.reward[:] = 0
        self.finished, self.final_observations = [], {}
        for i in range(self.num_envs):
            if self.idle[i]:
                self._begin(i)
                self.idle[i] = False
            else:
                self._decide(i, int(action[i]))

    def _decide(self, i, action):
        mask = None if self.action_mask is None else self.action_mask[i].copy()
        assert mask is None or mask[action]
        if self.refusing and mask.sum() > 1 and self.rng.random() < 0.2:
            self.void[i] = True
            self.action_mask[i, action] = False
            return
        self.reward[i] = self.rng.normal()
        decision = {"observation": self.observation[i].copy(), "action": action}
        decision |= {"action_mask": mask, "reward": float(self.reward[i])}
        self.decisions[i].append(decision)
        self._show(i)
        if self.rng.random() < 1 / self.length:
            self._end(i)

    def _end(self, i):
        kind = "terminated" if self.rng.random() < 0.5 else "truncated"
        getattr(self, kind)[i] = True
        final = {"observation": self.observation[i].copy(), "action_mask": None}
        if self.action_mask is not None:
            final = {**final, "action_mask": self.action_mask[i].copy()}
            if self.at_once:
                final = None  # nobody knows the mask any more
        self.past.append((self.decisions[i], kind, final))
        self.finished.append((1.0, len(self.decisions[i])))
        if self.at_once:
            self.final_observations[i] = self.observation[i].copy()
            self._begin(i)
        else:
            self.idle[i] = True
            self.decisions[i] = []

    def _begin(self, i):
        self.decisions[i] = []
        self._show(i)

    def _show(self, i):
        self.count += 1
        self.observation[i] = self.count, -self.count
        if self.action_mask is not None:
            self.action_mask[i] = self.rng.random(4) < 0.5
            self.action_mask[i, self.rng.integers(4)] = True

    def episodes(self):
        """Every episode so far: its decisions, how it ended or `None`, and what was seen at the end."""
        return [*self.past, *((d, None, None) for d in self.decisions if d)]


class Environment:
    """Makes one of them."""

    observation_space, action_space, observation_clip = SEEN, CHOICES, None

    def __init__(self, **options):
        self.made = Scripted(**options)
        self.num_envs = self.made.num_envs

    def make(self):
        return self.made


class Forgetful:
    """A policy, as far as a source asks for one."""

    def __init__(self, normalizer=None):
        self.normalizer = normalizer

    def initial_state(self, batch_size):
        return None


class Chance:
    """Explores by drawing among what is legal."""

    def __init__(self, normalizer=None):
        self.policy = Forgetful(normalizer)
        self.rng = np.random.default_rng(1)
        self.seen = []

    def explore(self, observation, action_mask):
        self.seen.append(observation.copy())
        return CHOICES.draw(self.rng, len(observation), action_mask)


def replaying(algorithm=None, *, capacity=100_000, batch_size=8, environment=None, **options):
    """A source on scripted environments; what they do not take is its own."""
    ours = {"num_envs", "at_once", "masked", "refusing", "length"}
    theirs = {name: options.pop(name) for name in ours & options.keys()}
    environment = environment or Environment(**theirs, seed=options.get("seed", 0))
    source = Replay(environment, capacity=capacity, batch_size=batch_size, **options)
    source.attach(algorithm or Chance())
    return source


def expected(episodes, n_step):
    """Every transition of n steps that is known, by its first observation, from the definition."""
    found = {}
    for decisions, ended, final in episodes:
        for t, decision in enumerate(decisions):
            steps = decisions[t : t + n_step]
            after = decisions[t + n_step] if t + n_step < len(decisions) else None
            if after is None and ended in (None, "lost"):
                continue  # not known yet, or never
            if after is None and ended == "truncated":
                if final is None:  # only known up to the last decision
                    steps, after = steps[:-1], decisions[-1]
                else:
                    after = final
                if not steps:
                    continue
            found[decision["observation"][0]] = {
                **decision,
                "reward": [s["reward"] for s in steps] + [0.0] * (n_step - len(steps)),
                "length": len(steps),
                "terminated": after is None,
                "next_observation": None if after is None else after["observation"],
                "next_action_mask": None if after is None else after["action_mask"],
            }
    return found


def assert_are(part, truth):
    """Assert that drawn transitions are true ones; return how often each came, by its first observation."""
    for k in range(len(part)):
        true = truth[float(part.observation[k, 0])]
        assert part.observation[k].tolist() == true["observation"].tolist()
        assert int(part.action[k]) == true["action"]
        np.testing.assert_array_equal(part.reward[k], np.float32(true["reward"]))
        assert int(part.length[k]) == true["length"]
        assert bool(part.terminated[k]) == true["terminated"]
        if part.action_mask is not None:
            assert part.action_mask[k].tolist() == true["action_mask"].tolist()
            assert part.next_action_mask[k].any()
        if not true["terminated"]:
            assert part.next_observation[k].tolist() == true["next_observation"].tolist()
            if part.action_mask is not None:
                assert part.next_action_mask[k].tolist() == true["next_action_mask"].tolist()
    return Counter(part.observation[:, 0].tolist())


def held(source):
    """All that is in the buffer."""
    return source._ring.select(np.arange(len(source._ring)))
