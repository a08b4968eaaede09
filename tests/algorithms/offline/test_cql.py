"""Conservative Q-learning of one choice beside its equations, written slowly."""

import pytest
import torch

from poke.algorithms.offline.cql import CQL

from .parts import apart, assert_moved_by, experience, legal_actions, makers, transitions

VALUES = {"lr": 1e-3, "gamma": 0.9, "alpha": 0.7}


def cql(masked=False, kind="discrete", **values):
    made = makers(kind, masked)
    return CQL(made.make_policy(), made.make_network, made.device, **{**VALUES, **values})


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("num", [1, 2, 3])
def test_losses_are_those_of_the_equations(masked, weighted, num):
    algorithm = cql(masked, reward_scale=0.5, critics={"num": num})
    part = transitions("discrete", n=2, masked=masked, weighted=weighted)
    slow = apart(algorithm)
    worth, wrong = algorithm.judge(part)
    told = algorithm.update(experience(part))
    critic_loss = conservative_loss = 0.0
    for i in range(len(part)):
        seen, after = part.observation[i : i + 1], part.next_observation[i : i + 1]
        weight = float(part.weight[i]) if weighted else 1.0
        target = sum(0.9**k * 0.5 * float(r) for k, r in enumerate(part.reward[i]))
        if not part.terminated[i]:
            online = slow._critics(after)[:, 0, :, 0].mean(dim=0)
            best = max(legal_actions(part.next_action_mask, i), key=lambda a: online[a].item())
            least = slow._target.network(after)[:, 0, best, 0].min().item()
            target += 0.9 ** int(part.length[i]) * least
        own = slow.policy.network(seen)[0][0].detach()
        torch.testing.assert_close(worth[i], own)
        assert wrong[i].item() == pytest.approx(abs(own[part.action[i]].item() - target), abs=1e-5)
        for values in slow._critics(seen)[:, 0, :, 0]:
            said = values[part.action[i]]
            error = said - target
            huber = 0.5 * error**2 if abs(error.item()) <= 1 else abs(error) - 0.5
            critic_loss += weight * huber
            legal = legal_actions(part.action_mask, i)
            conservative_loss += weight * (torch.log(sum(values[a].exp() for a in legal)) - said)
    critic_loss, conservative_loss = critic_loss / len(part), conservative_loss / len(part)
    assert float(told["critic_loss"]) == pytest.approx(critic_loss.item(), rel=1e-4)
    assert float(told["conservative_loss"]) == pytest.approx(conservative_loss.item(), rel=1e-4)
    loss = critic_loss + 0.7 * conservative_loss
    assert_moved_by(algorithm, "critics", loss, slow._critics)


def test_the_policy_takes_what_its_critic_values_most():
    algorithm = cql(masked=True)
    part = transitions("discrete", masked=True)
    for _ in range(5):
        algorithm.update(experience(part))
    values, _ = algorithm.judge(part)
    best = values.masked_fill(~part.action_mask, -torch.inf).argmax(dim=1)
    acted = algorithm.policy.act(part.observation.numpy(), action_mask=part.action_mask.numpy())
    assert acted.tolist() == best.tolist()


def unseen_gap(alpha):
    """How much more two of four actions are found worth that the data lacks than those it has, all alike in it."""
    algorithm = cql(alpha=alpha, lr=1e-2)
    part = transitions("discrete", count=64)
    part.action.remainder_(2)
    part.terminated.fill_(True)
    part.reward.fill_(1.0)
    for _ in range(200):
        algorithm.update(experience(part))
    values, error = algorithm.judge(part)
    return float((values[:, 2:].mean() - values[:, :2].mean()).detach()), float(error.mean())


def test_what_the_data_lacks_is_worth_less():
    gap, error = unseen_gap(0.1)
    assert gap < -1.0
    assert error < 0.2
    assert unseen_gap(0.0)[0] > gap + 1.0


@pytest.mark.parametrize("kind", ["multi_discrete", "multi_binary"])
def test_several_choices_are_refused(kind):
    with pytest.raises(ValueError, match="algo=cql judges the actions of one choice"):
        cql(kind=kind)


@pytest.mark.parametrize("critics", [{"bins": 11}, {"extra_gammas": [0.5]}])
def test_more_than_a_value_an_action_is_refused(critics):
    with pytest.raises(ValueError, match=r"leave out algo\.critics\.bins"):
        cql(critics=critics)
