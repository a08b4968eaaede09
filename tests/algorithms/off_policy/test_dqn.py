"""Deep Q-learning beside its equations, written slowly."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poke.algorithms.off_policy.dqn import DQN
from poke.protocols import NonFiniteError

from ..offline.parts import ACTIONS, experience, makers, transitions

VALUES = {"lr": 1e-3, "gamma": 0.9, "target_every": 2, "target_rate": 1.0}


def dqn(kind="discrete", masked=False, **values):
    made = makers(kind, masked)
    return DQN(made.make_policy, made.device, seed=1, **{**VALUES, **values})


def worth(network, seen, mask):
    """What each action is worth, of one state, by the definition."""
    outputs, value = network(seen.unsqueeze(0))
    outputs = outputs[0].tolist()
    if value is None:
        return outputs
    legal = range(len(outputs)) if mask is None else np.flatnonzero(mask.numpy()).tolist()
    usual = sum(outputs[a] for a in legal) / len(legal)
    return [value.item() + advantage - usual for advantage in outputs]


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize(
    ("dueling", "fast"), [(True, False), (False, False), (False, True)], ids=str
)
@pytest.mark.parametrize(
    ("n", "masked", "weighted"), [(1, False, False), (1, True, True), (3, True, False)]
)
def test_the_loss_is_that_of_the_equations(double, dueling, fast, n, masked, weighted):
    options = {"double": double, "dueling": dueling, "fast_path": fast, "reward_scale": 0.5}
    algorithm = dqn(masked=masked, **options)
    assert (algorithm._by_numpy is not None) == fast
    part = transitions("discrete", n=n, masked=masked, weighted=weighted)
    for _ in range(3):  # so that the target is another network
        algorithm.update(experience(part))
    slow = copy.deepcopy(algorithm)
    told = algorithm.update(experience(part))
    online, target = slow.policy.network, slow._target.network
    loss, chosen = 0.0, []
    for i in range(len(part)):
        masks = (None, None) if not masked else (part.action_mask[i], part.next_action_mask[i])
        aim = sum(0.9**k * 0.5 * float(r) for k, r in enumerate(part.reward[i]))
        if not part.terminated[i]:
            seen = part.next_observation[i]
            legal = range(4) if not masked else np.flatnonzero(masks[1].numpy()).tolist()
            judged = worth(target, seen, masks[1])
            chooser = worth(online, seen, masks[1]) if double else judged
            best = max(legal, key=chooser.__getitem__)
            aim += 0.9 ** int(part.length[i]) * judged[best]
        chosen.append(worth(online, part.observation[i], masks[0])[int(part.action[i])])
        error = abs(chosen[-1] - aim)
        weight = float(part.weight[i]) if weighted else 1.0
        loss += weight * (error**2 / 2 if error <= 1 else error - 0.5)
    assert float(told["loss"]) == pytest.approx(loss / len(part), rel=1e-4)
    assert float(told["q"]) == pytest.approx(sum(chosen) / len(part), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(("masked", "weighted"), [(False, False), (True, True)])
@pytest.mark.parametrize("reward_scale", [0.1, 10.0])
def test_numpy_learns_what_torch_does(double, n, masked, weighted, reward_scale):
    """Errors within 1 and beyond, and several sizes of minibatches: the same metrics, gradients, weights and errors."""
    options = {"double": double, "reward_scale": reward_scale, "max_grad_norm": 0.5}
    fast, slow = (dqn(masked=masked, fast_path=f, **options) for f in (True, False))
    heard = {}
    for step, count in enumerate((32, 32, 7, 32)):
        part = transitions(
            "discrete", seed=step, count=count, n=n, masked=masked, weighted=weighted
        )
        told = {}
        for name, algorithm in (("fast", fast), ("slow", slow)):
            batch = experience(part)
            batch.told = SimpleNamespace(
                tell=lambda rows, error, name=name: heard.update({name: error})
            )
            told[name] = algorithm.update(batch)
        assert told["fast"].keys() == told["slow"].keys()
        for name, value in told["slow"].items():
            assert float(told["fast"][name]) == pytest.approx(float(value), rel=1e-4, abs=1e-6)
        torch.testing.assert_close(heard["fast"], heard["slow"], rtol=1e-4, atol=1e-5)
        flat = [a._descent.flat["policy"] for a in (fast, slow)]
        torch.testing.assert_close(flat[0].grad, flat[1].grad, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(flat[0], flat[1], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(fast._target._flat, slow._target._flat, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("fast", [True, False])
def test_an_error_that_is_not_finite_leaves_everything_alone(fast):
    algorithm, part = dqn(fast_path=fast), transitions("discrete")
    algorithm.update(experience(part))
    before = [t.clone() for t in algorithm._learning._tensors()]
    part.reward[3] = float("nan")
    with pytest.raises(NonFiniteError):
        algorithm.update(experience(part))
    after = algorithm._learning._tensors()
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("spoil", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize(("dueling", "fast"), [(True, False), (False, False), (False, True)])
def test_what_is_illegal_counts_for_nothing(spoil, dueling, fast):
    """An action that is illegal everywhere may be worth anything."""
    options = {"masked": True, "dueling": dueling, "fast_path": fast}
    algorithm, plain = (dqn(**options) for _ in range(2))
    part = transitions("discrete", masked=True)
    part.action.clamp_(max=2)
    for mask in (part.action_mask, part.next_action_mask):
        mask[:, 3], mask[:, 0] = False, True
    part.action_mask[torch.arange(len(part)), part.action] = True
    head = [m for m in algorithm.policy.network.modules() if isinstance(m, torch.nn.Linear)][-1]
    target = [m for m in algorithm._target.network.modules() if isinstance(m, torch.nn.Linear)][-1]
    with torch.no_grad():
        target.bias[3] = spoil
    told = [a.update(experience(part)) for a in (algorithm, plain)]
    assert float(told[0]["loss"]) == pytest.approx(float(told[1]["loss"]), rel=1e-6)
    assert torch.isfinite(head.bias).all()


def test_errors_are_told_to_the_source():
    algorithm, part = dqn(), transitions("discrete")
    heard = []

    class Source:
        def tell(self, rows, error):
            heard.append((rows, error))

    batch = experience(part)
    batch.told = Source()
    slow = copy.deepcopy(algorithm)
    algorithm.update(batch)
    ((rows, error),) = heard
    assert torch.equal(rows, part.rows)
    torch.testing.assert_close(error, slow.judge(part)[1])


def test_the_target_is_taken_over_every_so_many_steps():
    algorithm, part = dqn(target_every=3), transitions("discrete")
    first = copy.deepcopy(algorithm._target.network.get_weights())
    for step in range(1, 7):
        algorithm.update(experience(part))
        now, online = (
            algorithm._target.network.get_weights(),
            algorithm.policy.network.get_weights(),
        )
        if step < 3:
            assert all(torch.equal(now[name], first[name]) for name in first)
        if step % 3 == 0:
            assert all(torch.equal(now[name], online[name]) for name in first)


def test_less_and_less_is_drawn_and_never_what_is_illegal():
    algorithm = dqn(masked=True, epsilon_start=1.0, epsilon_end=0.1, epsilon_steps=100)
    rng = np.random.default_rng(0)
    shares = []
    for steps in (0, 50, 100, 1000):
        algorithm.num_steps = steps
        observation = rng.normal(size=(4000, 4)).astype(np.float32)
        mask = rng.random((4000, 4)) < 0.6
        mask[:, 2] = True
        action = algorithm.explore(observation, mask)
        assert mask[np.arange(4000), action].all()
        best = algorithm.policy.act(observation, action_mask=mask)
        # Of what is drawn some is the best by chance.
        legal = mask.sum(axis=1)
        shares.append(float((action != best).mean() / (1 - 1 / legal).mean()))
    np.testing.assert_allclose(shares, [1.0, 0.55, 0.1, 0.1], atol=0.05)


@pytest.mark.parametrize("kind", [k for k in ACTIONS if k != "discrete"])
def test_other_actions_are_refused(kind):
    with pytest.raises(
        ValueError, match="algo=dqn judges the actions of one choice, and these are"
    ):
        dqn(kind)


@pytest.mark.parametrize("fast_path", [True, False])
def test_a_policy_that_was_given_other_weights_is_judged_by_these(fast_path):
    algorithm, teacher = dqn(fast_path=fast_path), dqn()
    for seed in range(20):
        teacher.update(experience(transitions("discrete", seed=seed)))
    algorithm.policy.set_state(teacher.policy.get_state())
    part = transitions("discrete")
    told = algorithm.update(experience(part))
    other = dqn(fast_path=fast_path)
    other.policy.set_state(teacher.policy.get_state())
    other._target.network.set_weights(teacher.policy.network.get_weights())
    assert float(told["loss"]) == float(other.update(experience(part))["loss"])
