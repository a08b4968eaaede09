"""Ensembles of networks that judge actions, and copies that follow them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from poke.algorithms.values.heads import Heads
from poke.data.experience import Transitions
from poke.networks.flat import flatten_parameters
from poke.networks.normalized import normalize_layers
from poke.spaces import ActionSpace, ObservationSpace

FEATURES = 256  # width of what observations become before actions of numbers join them


class MakeNetwork(Protocol):
    """Makes networks of the configured kind."""

    def __call__(
        self, num_outputs: int, *, observation_space: ObservationSpace | None = None
    ) -> nn.Module:
        """Return a network of `[batch, num_outputs]`, of the configured observations where no others are given."""


class ChoiceCritics(nn.Module):
    """Judge every action of one choice at once.

    Args:
        networks: each with `num_actions * heads.size` outputs.
        heads: reads them.
    """

    def __init__(self, networks: Sequence[nn.Module], heads: Heads) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.heads = heads

    def forward(self, observation: Tensor) -> Tensor:
        """Return what each says of each action: `[critics, batch, num_actions, heads.size]`."""
        outputs = torch.stack([network(observation) for network in self.networks])
        return outputs.unflatten(-1, (-1, self.heads.size))

    def of(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return what each says of actions `[batch] int64`: `[critics, batch, heads.size]`."""
        outputs = self(observation)
        index = action.view(1, -1, 1, 1).expand(len(outputs), -1, 1, self.heads.size)
        return outputs.gather(2, index).squeeze(2)


class ActionCritics(nn.Module):
    """Judge one action that is given: numbers, or several choices as one-hots.

    Args:
        networks: each maps an observation and an encoded action to `heads.size` outputs.
        heads: reads them.
        encode: makes numbers of actions, see `action_encoder`.
    """

    def __init__(
        self, networks: Sequence[nn.Module], heads: Heads, encode: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.heads = heads
        self.encode = encode

    def of(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return what each says of a policy's own actions `[batch, *action_shape]`: `[critics, batch, heads.size]`."""
        return self.of_encoded(observation, self.encode(action))

    def of_encoded(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return what each says of actions that are encoded already: `[critics, batch, heads.size]`."""
        return torch.stack([network(observation, action) for network in self.networks])


class JoinedNetwork(nn.Module):
    """One critic of given actions.

    A network that sees observation and action side by side where observations are a row of numbers, else one that makes
    features of the observation, with two layers over these and the action.

    Args:
        make_network: makes a network of the configured kind.
        observation_space: what is observed.
        action_size: how many numbers an encoded action has.
        num_outputs: size of the last layer.
    """

    def __init__(
        self,
        make_network: MakeNetwork,
        observation_space: ObservationSpace,
        action_size: int,
        num_outputs: int,
    ) -> None:
        super().__init__()
        self.flat = is_row(observation_space)
        if self.flat:
            width = observation_space.shape[0] + action_size
            joined = ObservationSpace.box((width,), "float32")
            self.network = make_network(num_outputs, observation_space=joined)
            return
        self.network = make_network(FEATURES)
        self.head = nn.Sequential(
            nn.ReLU(),
            nn.Linear(FEATURES + action_size, FEATURES),
            nn.ReLU(),
            nn.Linear(FEATURES, num_outputs),
        )

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Map `[batch, *observation_shape]` and `[batch, action_size]` to `[batch, num_outputs]` float32."""
        if self.flat:
            return self.network(torch.cat([observation, action], dim=1))
        features = self.network(observation)
        # The first ReLU is the features', which come from a last layer without one.
        return self.head(torch.cat([features, action], dim=1))


def is_row(space: ObservationSpace) -> bool:
    """Whether observations are a row of float32 numbers."""
    one = not space.packed and space.layout is None and space.entries[0].kind == "box"
    return one and len(space.shape) == 1 and str(space.dtype) == "float32"


def action_encoder(space: ActionSpace, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return what makes `[batch, size] float32` of a policy's own actions, for a critic to see.

    Numbers become what the environment gets, within -1 to 1 where they have bounds on both sides; choices one-hots.
    """
    if not space.continuous:
        sizes = (2,) * len(space.sizes) if space.kind == "multi_binary" else space.sizes

        def one_hot(action: Tensor) -> Tensor:
            parts = action.reshape(len(action), -1).unbind(1)
            return torch.cat(
                [nn.functional.one_hot(p, n) for p, n in zip(parts, sizes, strict=True)], dim=1
            ).float()

        return one_hot
    if space.bounds == "squash":
        return torch.tanh
    low, high = (
        torch.tensor(end, dtype=torch.float32, device=device) for end in (space.low, space.high)
    )
    bounded = torch.isfinite(low) & torch.isfinite(high) & (high > low)
    middle = torch.where(bounded, (high + low) / 2, 0.0)
    half = torch.where(bounded, (high - low) / 2, 1.0)

    def within(action: Tensor) -> Tensor:
        return (action.clamp(low, high) - middle) / half

    return within


def encoded_size(space: ActionSpace) -> int:
    """Return how many numbers `action_encoder` makes of an action."""
    if space.continuous:
        return space.action_shape[0]
    return 2 * len(space.sizes) if space.kind == "multi_binary" else sum(space.sizes)


@dataclass(frozen=True)
class Judging:
    """What the critics of an algorithm are, as `algo.critics` of the config has it.

    Args:
        num: how many there are, the least of which counts.
        target_rate: by how much their copy follows at every update.
        extra_gammas: discount factors that are learned besides.
        bins: of two-hot values; 0: values are numbers.
        low: least value that bins reach.
        high: greatest.
        layer_norm: normalise their layers, so that values of actions far from the data stay bounded: Ball et al.,
            "Efficient Online Reinforcement Learning with Offline Data", ICML 2023, section 4.2.
    """

    num: int = 2
    target_rate: float = 0.005
    extra_gammas: Sequence[float] = ()
    bins: int = 0
    low: float = -1.0
    high: float = 1.0
    layer_norm: bool = False

    def heads(self, gamma: float, device: torch.device, loss: str = "mse") -> Heads:
        """Return what reads the critics' outputs, for a discount factor that counts."""
        gammas = [gamma, *self.extra_gammas]
        heads = Heads(gammas, bins=self.bins, low=self.low, high=self.high, loss=loss)
        return heads.to(device)


def make_critics(
    make_network: MakeNetwork,
    observation_space: ObservationSpace,
    action_space: ActionSpace,
    heads: Heads,
    *,
    judging: Judging,
    device: torch.device,
) -> ChoiceCritics | ActionCritics:
    """Return new critics: of one choice those that judge all its actions at once, of other actions those of given ones.

    Args:
        make_network: makes a network of the configured kind, on its device.
        observation_space: what is observed.
        action_space: what is judged.
        heads: reads their outputs.
        judging: how many there are, and whether their layers are normalised.
        device: where they are to be.
    """
    networks: list[nn.Module]
    if action_space.kind == "discrete":
        outputs = action_space.num_outputs * heads.size
        networks = [make_network(outputs) for _ in range(judging.num)]
    else:
        size = encoded_size(action_space)
        networks = [
            JoinedNetwork(make_network, observation_space, size, heads.size)
            for _ in range(judging.num)
        ]
    if judging.layer_norm:
        for network in networks:
            normalize_layers(network)
    if action_space.kind == "discrete":
        return ChoiceCritics(networks, heads).to(device)
    return ActionCritics(networks, heads, action_encoder(action_space, device)).to(device)


def judged(
    critics: ChoiceCritics | ActionCritics, part: Transitions, aim: Callable[[Transitions], Tensor]
) -> tuple[Tensor | None, Tensor]:
    """Return what critics say of transitions, by the discount factor that counts.

    Args:
        critics: judge.
        part: what was done.
        aim: returns the targets, `[batch, factors]`.

    Returns:
        What every action is worth by the least of the critics, `[batch, num_actions]`, None where actions are not one
        choice; and how far the one done is from its target, `[batch]`: the mean of the critics' errors.
    """
    heads = critics.heads
    with torch.no_grad():
        said = heads.read(critics.of(part.observation, part.action))[..., 0]
        error = (said - aim(part)[:, 0]).abs().mean(dim=0)
        if isinstance(critics, ActionCritics):
            return None, error
        return heads.read(critics(part.observation))[..., 0].amin(dim=0), error


class Follower:
    """A copy of a network that follows it slowly, or takes it over now and then.

    Slowly: Lillicrap et al., "Continuous Control with Deep Reinforcement Learning", ICLR 2016, section 3; now and then:
    Mnih et al., Nature 2015.

    Args:
        online: is followed.
    """

    def __init__(self, online: nn.Module) -> None:
        self.network: Any = copy.deepcopy(online).requires_grad_(False).eval()
        self._flat = flatten_parameters(self.network).requires_grad_(False)
        self._flat.grad = None

    @torch.no_grad()
    def follow(self, flat: Tensor, rate: float) -> None:
        """Move towards the online network by a share of the way.

        Args:
            flat: the online network's parameters in one piece, in their order, as `Descent.flat` has them: one
                operation in place of one a parameter.
            rate: tau; 1: take it over.
        """
        self._flat.lerp_(flat, rate)

    def tensors(self) -> list[Tensor]:
        """Return the copy's weights."""
        return [self._flat]
