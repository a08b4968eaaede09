"""No mask is ever broken: what is illegal is never done, and what networks say of it is never heard."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poke.data.experience import Experience, Transitions
from poke.spaces import ActionSpace, ObservationSpace

from .parts import JUDGED, assert_equal, awr, cql, crr, dqn, iql, network_maker, policy_maker, sac

DECISIONS = 10_000
OUTPUTS = 11  # a width that no other layer has
ATOMS = 7
SPACES = {
    "discrete": ActionSpace.discrete(OUTPUTS),
    "multi_discrete": ActionSpace("multi_discrete", (5, 6), (0, 0), (2,)),
}
TWO_HOT = {"bins": 12, "extra_gammas": [0.5]}
ANY = {
    "iql": (iql, {}),
    "iql-two-hot": (iql, {"critics": TWO_HOT}),
    "crr": (crr, {}),
    "crr-exponential": (crr, {"filter": "exponential"}),
    "crr-two-hot": (crr, {"critics": TWO_HOT}),
    "awr": (awr, {}),
    "awr-bootstrapped": (awr, {"return_share": 0.5}),
}
ONE_CHOICE = {
    "cql": (cql, {}),
    "cql-three": (cql, {"critics": {"num": 3}}),
    "dqn": (dqn, {}),
    "dqn-single": (dqn, {"double": False}),
    "dqn-dueling": (dqn, {"dueling": True}),
    "dqn-atoms": (dqn, {"atoms": ATOMS}),
    "dqn-atoms-single": (dqn, {"atoms": ATOMS, "double": False}),
    "dqn-atoms-dueling": (dqn, {"atoms": ATOMS, "dueling": True}),
    "dqn-noisy": (dqn, {"noisy": True}),
    "dqn-rainbow": (dqn, {"atoms": ATOMS, "dueling": True, "noisy": True}),
    "sac": (sac, {}),
    "sac-two-hot": (sac, {"critics": TWO_HOT}),
}
BUILDS = {**ANY, **ONE_CHOICE}
CASES = [(name, "discrete") for name in BUILDS] + [(name, "multi_discrete") for name in ANY]


def made(name, kind):
    torch.manual_seed(0)
    source = SimpleNamespace(
        observation_space=ObservationSpace.box((4,)),
        action_space=SPACES[kind],
        masked=True,
        observation_clip=None,
    )
    build, options = BUILDS[name]
    given = policy_maker(source), network_maker(source), torch.device("cpu")
    return build(*given, **{**JUDGED, **options})


def masks(rng, kind, count):
    """Masks of every density, from one legal value a part to all of them."""
    sizes = SPACES[kind].sizes
    mask = rng.random((count, sum(sizes))) < rng.random((count, 1))
    start = 0
    for size in sizes:
        mask[np.arange(count), start + rng.integers(size, size=count)] = True
        start += size
    return mask


def are_legal(kind, action, mask):
    """Of each decision, whether all of its parts are legal."""
    sizes = SPACES[kind].sizes
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    columns = np.reshape(action, (len(mask), -1)) + starts
    return np.take_along_axis(mask, columns, axis=1).all(axis=1)


def transitions(kind, seed, mask, next_mask):
    """Transitions whose actions are legal."""
    generator = torch.Generator().manual_seed(seed)
    count, sizes = len(mask), list(SPACES[kind].sizes)
    parts = [part.float().multinomial(1, generator=generator) for part in mask.split(sizes, dim=1)]
    action = torch.cat(parts, dim=1)
    return Transitions(
        observation=torch.randn(count, 4, generator=generator),
        action=action[:, 0] if kind == "discrete" else action,
        action_mask=mask,
        reward=torch.randn(count, 1, generator=generator),
        length=torch.ones(count, dtype=torch.int64),
        terminated=torch.rand(count, generator=generator) < 0.2,
        next_observation=torch.randn(count, 4, generator=generator),
        next_action_mask=next_mask,
        return_=torch.randn(count, generator=generator),
    )


def update(algorithm, *parts):
    return [dict(algorithm.update(Experience([part], 1, len(part)))) for part in parts]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_is_illegal_is_never_done(name, kind):
    rng, algorithm = np.random.default_rng(0), made(name, kind)
    policy = algorithm.policy
    mask = masks(rng, kind, DECISIONS)
    observation = rng.normal(size=(DECISIONS, 4)).astype(np.float32)
    tensor = torch.from_numpy(mask)
    update(algorithm, transitions(kind, 0, tensor, tensor))
    for sharpness in (1.0, 1e4):  # so that the likeliest of all is often illegal, and by far
        with torch.no_grad():
            for parameter in policy.network.parameters():
                parameter.mul_(sharpness)
        for explore in (False, True):
            action = policy.act(observation, action_mask=mask, explore=explore)
            assert are_legal(kind, action, mask).all()
        free = policy.act(observation, action_mask=np.ones_like(mask))
        assert not are_legal(kind, free, mask).all()


@pytest.mark.parametrize("name", [name for name in BUILDS if name.startswith(("dqn", "sac"))])
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_what_is_illegal_is_never_explored(name, epsilon):
    rng, algorithm = np.random.default_rng(0), made(name, "discrete")
    algorithm.epsilon_start = algorithm.epsilon_end = epsilon  # SAC takes no notice
    mask = masks(rng, "discrete", DECISIONS)
    observation = rng.normal(size=(DECISIONS, 4)).astype(np.float32)
    assert are_legal("discrete", algorithm.explore(observation, mask), mask).all()


def said_of_the_first(algorithm):
    """Where networks put out what they say of value 0 of the first choice: the biases behind these outputs."""
    learning = algorithm._learning
    networks = [algorithm.policy.network, *learning._networks.values()]
    networks += [follower.network for follower in learning._followers.values()]
    layers = {
        id(m): m
        for network in networks
        for m in network.modules()
        if isinstance(m, torch.nn.Linear)
    }
    # One or more an action, and of a dueling network one besides.
    widths = {OUTPUTS: 1, OUTPUTS + 1: 1, OUTPUTS * 24: 24}
    widths |= {OUTPUTS * ATOMS: ATOMS, (OUTPUTS + 1) * ATOMS: ATOMS}
    return [m.bias[: widths[m.out_features]] for m in layers.values() if m.out_features in widths]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_is_said_of_the_illegal_is_never_heard(name, kind):
    """One action is never legal. Whatever any network says of it, all that is learned is the same."""
    rng = np.random.default_rng(0)
    count = 1000
    both = [torch.from_numpy(masks(rng, kind, 2 * count)) for _ in range(2)]
    size = SPACES[kind].sizes[0]
    for mask in both:
        mask[:, 0] = False
        mask[~mask[:, 1:size].any(dim=1), 1] = True
    parts = [
        transitions(kind, seed, *(mask[count * seed :][:count] for mask in both)) for seed in (0, 1)
    ]
    outcomes = []
    for value in (0.0, math.nan, math.inf, -math.inf, 1e30):
        algorithm = made(name, kind)
        told_of = said_of_the_first(algorithm)
        assert told_of
        with torch.no_grad():
            for bias in told_of:
                bias.fill_(value)
        told = update(algorithm, *parts)
        judged = algorithm.judge(parts[0])[1] if hasattr(algorithm, "judge") else None
        with torch.no_grad():
            for bias in told_of:
                bias.fill_(0)
        state = copy.deepcopy((algorithm.policy.get_state(), algorithm.get_state()))
        outcomes.append((told, judged, state))
    assert all(np.isfinite(float(v)) for row in outcomes[0][0] for v in row.values())
    for outcome in outcomes[1:]:
        assert_equal(outcome, outcomes[0])
