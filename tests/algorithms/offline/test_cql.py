"""Conservative Q-learning beside its equations, written slowly."""

import pytest
import torch
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from poke.algorithms.offline.cql import CQL

from .parts import apart, assert_moved_by, experience, legal_actions, makers, transitions

VALUES = {"lr": 1e-3, "gamma": 0.9, "alpha": 0.7}


def cql(masked=False, kind="discrete", **values):
    made = makers(kind, masked, bounds="squash" if kind == "continuous" else "clip")
    return CQL(made.make_policy, made.make_network, made.device, seed=1, **{**VALUES, **values})


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("num", [1, 2, 3])
def test_losses_of_a_choice_are_those_of_the_equations(masked, weighted, num):
    algorithm = cql(masked, reward_scale=0.5, critics={"num": num})
    part = transitions("discrete", n=2, masked=masked, weighted=weighted)
    slow = apart(algorithm._learner)
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
        own = slow._critics.networks[0](seen)[0].detach()
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


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_losses_of_numbers_are_those_of_the_equations(weighted, n):
    values = {"num_samples": 3, "temperature": 0.3, "reward_scale": 0.5}
    algorithm = cql(kind="continuous", **values)
    part = transitions("continuous", count=16, n=n, weighted=weighted)
    slow, count = apart(algorithm._learner), 16
    _, wrong = algorithm.judge(part)
    told = algorithm.update(experience(part))
    draws = torch.Generator()
    draws.set_state(slow._noise.get_state())
    weight = part.weight if weighted else torch.ones(count)

    def drawn(seen):
        """Actions of the policy between -1 and 1, and their densities, by torch."""
        mean, log_std = slow._policy.network(seen)[0].chunk(2, dim=1)
        normal = Normal(mean, log_std.clamp(-20, 2).exp())
        own = mean + normal.scale * torch.randn(len(seen), 2, generator=draws)
        squashed = TransformedDistribution(normal, [TanhTransform(cache_size=1)])
        return own, squashed.log_prob(torch.tanh(own)).sum(dim=1)

    def q(critics, seen, own):
        return critics.of(seen, own)[..., 0]

    own, _ = drawn(part.next_observation)
    after = q(slow._target.network, part.next_observation, own).min(dim=0).values.detach()
    rewards = (0.5 * part.reward * 0.9 ** torch.arange(n)).sum(dim=1)
    target = rewards + 0.9**part.length * (~part.terminated) * after
    said = q(slow._critics, part.observation, part.action)
    critic_loss = (weight * ((said - target) ** 2 / 2).sum(dim=0)).mean()
    torch.testing.assert_close(wrong, (said - target).abs().mean(dim=0).detach())
    uniform = torch.rand(3 * count, 2, generator=draws).view(3, count, 2) * 2 - 1
    own, density = (
        t.detach().view(3, count, *t.shape[1:]) for t in drawn(part.observation.repeat(3, 1))
    )
    conservative_loss = 0.0
    for i in range(count):
        for k in range(2):
            terms = []
            for j in range(3):
                seen = part.observation[i : i + 1]
                by_chance = torch.atanh(uniform[j, i : i + 1])
                # Uniform over a square of side 2.
                terms.append(q(slow._critics, seen, by_chance)[k, 0].exp() / 0.25)
                terms.append(
                    q(slow._critics, seen, own[j, i : i + 1])[k, 0].exp() / density[j, i].exp()
                )
            conservative_loss += weight[i] * (torch.log(sum(terms) / 6) - said[k, i]) / count
    own, density = drawn(part.observation)
    judged = q(slow._critics, part.observation, own).min(dim=0).values
    policy_loss = (weight * (0.3 * density - judged)).mean()
    temperature_loss = -(slow._temperature.log_alpha * (density.detach() - 2.0)).mean()
    wanted = {
        "critic_loss": critic_loss,
        "conservative_loss": conservative_loss,
        "policy_loss": policy_loss,
        "temperature_loss": temperature_loss,
    }
    for name, value in wanted.items():
        assert float(told[name]) == pytest.approx(value.item(), rel=1e-3, abs=1e-4), name
    of_critics = critic_loss + 0.7 * conservative_loss
    assert_moved_by(algorithm, "critics", of_critics, slow._critics)
    assert_moved_by(algorithm, "policy", policy_loss, slow._policy.network)
    assert_moved_by(algorithm, "temperature", temperature_loss, slow._temperature)


def test_numbers_that_the_data_lacks_are_worth_less():
    """The data has actions near -1 alone, all alike; with alpha the others are worth less."""
    gaps = {}
    for alpha in (0.0, 1.0):
        algorithm = cql(kind="continuous", alpha=alpha, lr=1e-2, policy_lr=1e-2, num_samples=4)
        part = transitions("continuous", count=64)
        part.action.fill_(-1.5)
        part.terminated.fill_(True)
        part.reward.fill_(1.0)
        for _ in range(150):
            algorithm.update(experience(part))
        far = algorithm._learner._critics.of(part.observation, torch.full((64, 2), 1.5))
        near = algorithm._learner._critics.of(part.observation, part.action)
        gaps[alpha] = float((near - far).detach().mean())
    assert gaps[1.0] > gaps[0.0] + 2.0


def test_numbers_that_may_leave_their_bounds_are_refused():
    made = makers("continuous")
    with pytest.raises(ValueError, match=r"algo=cql needs actions within bounds: .*squash"):
        CQL(made.make_policy, made.make_network, made.device, **VALUES)


@pytest.mark.parametrize("kind", ["multi_discrete", "multi_binary"])
def test_several_choices_are_refused(kind):
    with pytest.raises(ValueError, match="algo=cql does not know actions of several choices"):
        cql(kind=kind)


@pytest.mark.parametrize("critics", [{"bins": 11}, {"extra_gammas": [0.5]}, {"layer_norm": True}])
def test_more_than_a_value_an_action_is_refused(critics):
    with pytest.raises(ValueError, match=r"leave out algo\.critics\.bins"):
        cql(critics=critics)
