"""A network for battles: one shared encoder per move and per Pokemon, pooled into a context that scores each action.

The sets-of-entities encoder follows Vinyals et al., "Grandmaster level in StarCraft II using multi-agent
reinforcement learning", Nature 2019 (entity encoder and pointer-like selection), with pooling instead of attention
(Zaheer et al., "Deep Sets", NeurIPS 2017, theorem 2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from poke.networks.encoding.encoder import Block, Encoder, recompute_blocks
from poke.networks.encoding.layout import entities, entity_scale, read_id


class EntityEncoder(Block):
    """Dense features, ids and a part given from outside, to one vector an entity.

    Every id looks up a row of the result's width, which is what an embedding and a layer over it come to, in one step.

    Args:
        kind: the entity's features, from the layout; an id that is always 0 in the generation played gets no table.
        leave_out: names of ids that another one tells.
        tables: how many ids each table has.
        extra_size: width of the part given from outside; 0: there is none.
        size: width of the result.
    """

    scale: Tensor
    reads_weights = True

    def __init__(
        self,
        kind: Mapping[str, Any],
        *,
        tables: Mapping[str, int],
        leave_out: Collection[str] = (),
        extra_size: int = 0,
        size: int,
    ) -> None:
        super().__init__()
        self.register_buffer("scale", entity_scale(kind), persistent=False)
        self.dense = nn.Linear(len(self.scale), size)
        self.extra = nn.Linear(extra_size, size, bias=False) if extra_size else None
        self._ids = [
            field
            for field in kind["ids"]
            if field["offset"] not in kind.get("constant", ()) and field["name"] not in leave_out
        ]
        # Rows apart by as much as the dense features move the sum: torch's own deviation of 1 would drown those.
        self.tables = nn.ModuleDict(
            {
                table_key(field["name"]): nn.Embedding.from_pretrained(
                    0.1 * torch.randn(tables[field["table"]], size), freeze=False
                )
                for field in self._ids
            }
        )

    def forward(self, entity: Tensor, extra: Tensor | None = None) -> Tensor:
        """Map `[..., entity_size]` int8 and `[..., extra_size]` float32 to `[..., size]` float32."""
        # Flat until the end: what is changed in place must be no view, or torch copies it in the backward pass.
        numbers = entity[..., : len(self.scale)].float().flatten(end_dim=-2)
        # The weights are scaled, not the bytes, which are a thousand times as many; the product is the same.
        encoded = functional.linear(numbers, self.dense.weight * self.scale, self.dense.bias)
        for field in self._ids:
            ids = read_id(entity, field["offset"]).flatten()
            encoded += self.tables[table_key(field["name"])](ids)
        if self.extra is not None and extra is not None:
            encoded += self.extra(extra.flatten(end_dim=-2))
        return encoded.relu_().unflatten(0, entity.shape[:-1])


def table_key(name: str) -> str:
    """Return the name of an id's table; `type` alone would hide a method of torch's."""
    return f"{name}_table"


class Encoded(NamedTuple):
    """A battle as seen by its network.

    Args:
        context: `[batch, size]` float32.
        own: the own Pokemon, `[batch, 6, entity_size]` float32.
        moves: the own active's, `[batch, 4, move_size]` float32.
    """

    context: Tensor
    own: Tensor
    moves: Tensor


class BattleEncoder(Encoder):
    """Encodes a battle as one context, from the arena, both active Pokemon, the means of both teams and the own moves.

    Args:
        layout: groups ``global``, ``own`` and ``opponent``, and which action is about what.
        entity_size: width of an encoded Pokemon.
        move_size: width of an encoded move.
        size: width of the context.
    """

    def __init__(
        self, layout: Mapping[str, Any], *, entity_size: int, move_size: int, size: int
    ) -> None:
        super().__init__()
        self.size = size
        self._groups = {group["name"]: group for group in layout["groups"]}
        pokemon, arena = layout["kinds"]["pokemon"], layout["kinds"]["global"]
        self._moves, tables = pokemon["moves"], layout["tables"]
        self._active = next(f["offset"] for f in pokemon["dense"] if f["name"] == "active")
        # A move is of its type, and what that does here its effectiveness says: to look it up 48 times a battle took a
        # tenth of a gradient step.
        self.move_encoder = EntityEncoder(
            self._moves, tables=tables, leave_out=("type",), size=move_size
        )
        of_pokemon: dict[str, Any] = {
            "tables": tables,
            "extra_size": move_size,
            "size": entity_size,
        }
        self.own_encoder = EntityEncoder(pokemon, **of_pokemon)
        self.opponent_encoder = EntityEncoder(pokemon, **of_pokemon)
        self.register_buffer("arena_scale", entity_scale(arena), persistent=False)
        self.context = nn.Linear(len(self.arena_scale) + 4 * entity_size + move_size, size)

    arena_scale: Tensor

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, observation_size]` int8 to `[batch, size]` float32."""
        return self.encode(observation).context

    def encode(self, observation: Tensor) -> Encoded:
        """Map `[batch, observation_size]` int8 to context, own Pokemon and the own active's moves."""
        own, moves, own_active = self._encode_team(observation, "own", self.own_encoder)
        opponent, _, opponent_active = self._encode_team(
            observation, "opponent", self.opponent_encoder
        )
        arena = entities(observation, self._groups["global"]).squeeze(1)
        own_moves = _of_active(moves, own_active)
        seen = [
            arena[:, : len(self.arena_scale)].float() * self.arena_scale,
            _of_active(own, own_active),
            _of_active(opponent, opponent_active),
            _mean(own, dim=1),
            _mean(opponent, dim=1),
            own_moves.amax(dim=1),
        ]
        return Encoded(self.context(torch.cat(seen, dim=1)).relu_(), own, own_moves)

    def _encode_team(
        self, observation: Tensor, group: str, encoder: EntityEncoder
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return each Pokemon `[batch, 6, entity]`, its moves `[batch, 6, 4, move]`, and 1 for the active one."""
        team = entities(observation, self._groups[group])
        move_bytes = team[..., self._moves["offset"] :].unflatten(
            2, (self._moves["count"], self._moves["size"])
        )
        moves = self.move_encoder(move_bytes)
        return encoder(team, _mean(moves, dim=2)), moves, team[..., self._active].float()


def _of_active(entities: Tensor, active: Tensor) -> Tensor:
    """Return what is the active Pokemon's of `[batch, 6, ...]`, zeros where there is none.

    The row is looked up: as a product with a batch of vectors this took a quarter of a gradient step.
    """
    count = entities.shape[1]
    rows = active.argmax(dim=1) + count * torch.arange(entities.shape[0], device=entities.device)
    chosen = entities.flatten(end_dim=1).index_select(0, rows)
    return chosen * active.amax(dim=1).unflatten(0, (-1, *[1] * (entities.dim() - 2)))


def _mean(entities: Tensor, dim: int) -> Tensor:
    """Return the mean, whose gradient torch would divide after having copied it to every entity."""
    return entities.sum(dim=dim) * (1 / entities.shape[dim])


class BattleNetwork(BattleEncoder):
    """Scores every action of a battle by the entity it is about: a switch by its Pokemon, a move by its move.

    Args:
        num_outputs: number of actions; one more for a last output that is the state's value.
        layout: as of `BattleEncoder`.
        entity_size: likewise.
        move_size: likewise.
        hidden_size: width of the context and of the scoring layers.
        activation_checkpointing: see `poke.networks.encoding.encoder.recompute_blocks`.

    Raises:
        ValueError: the observations carry no layout of entities, or the outputs are no scores of a battle's actions.
    """

    def __init__(
        self,
        *,
        num_outputs: int,
        layout: Mapping[str, Any] | None,
        entity_size: int,
        move_size: int,
        hidden_size: int,
        activation_checkpointing: bool = False,
    ) -> None:
        if layout is None:
            raise ValueError(
                "network=battle needs observations made of Pokemon; network=auto takes any"
            )
        if not scores_actions(layout, num_outputs):
            raise ValueError(
                f"network=battle scores the {num_actions(layout)} actions of a battle and nothing else, not "
                f"{num_outputs} outputs; network=auto can"
            )
        super().__init__(layout, entity_size=entity_size, move_size=move_size, size=hidden_size)
        self.size = num_outputs
        self.features_size = hidden_size
        self.switch_query = nn.Linear(hidden_size, hidden_size)
        self.switch_key = nn.Linear(entity_size, hidden_size, bias=False)
        self.switch_score = nn.Linear(hidden_size, 1)
        self.move_query = nn.Linear(hidden_size, hidden_size)
        self.move_key = nn.Linear(move_size, hidden_size, bias=False)
        self.move_score = nn.Linear(hidden_size, _ways(layout))
        self.judges = num_outputs > num_actions(layout)
        if self.judges:
            self.value_hidden = nn.Linear(hidden_size, hidden_size)
            self.value = nn.Linear(hidden_size, 1)
        if activation_checkpointing:
            recompute_blocks(self)

    def heads(self) -> Iterator[tuple[nn.Linear, float]]:
        """Yield the last layers, and what they begin with when a policy's are to begin near 0."""
        yield self.switch_score, 0.01
        yield self.move_score, 0.01
        if self.judges:
            yield self.value, 1.0

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, size]` int8 to `[batch, num_outputs]` float32: switches, then moves by way, then the value."""
        return self.forward_with_features(observation)[0]

    def forward_with_features(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Do as `forward`, and return the context besides, `[batch, features_size]` float32."""
        context, own, own_moves = self.encode(observation)
        switch = self.switch_key(own) + self.switch_query(context).unsqueeze(1)
        move = self.move_key(own_moves) + self.move_query(context).unsqueeze(1)
        by_way = self.move_score(move.relu_()).transpose(1, 2)  # [batch, ways, 4]
        outputs = [self.switch_score(switch.relu_()).squeeze(2), by_way.flatten(start_dim=1)]
        if self.judges:
            outputs.append(self.value(self.value_hidden(context).relu_()))
        return torch.cat(outputs, dim=1), context


def scores_actions(layout: Mapping[str, Any], num_outputs: int) -> bool:
    """Whether so many outputs are a score an action, or those and the state's value."""
    return num_outputs - num_actions(layout) in (0, 1)


def num_actions(layout: Mapping[str, Any]) -> int:
    """Return how many actions a battle has: a switch a Pokemon, and every way of every move."""
    own = next(group for group in layout["groups"] if group["name"] == "own")
    return own["count"] + _ways(layout) * layout["kinds"]["pokemon"]["moves"]["count"]


def _ways(layout: Mapping[str, Any]) -> int:
    """Of making a move: plain, mega, Z, dynamax, tera."""
    return sum(action["name"] != "switch" for action in layout["actions"])
