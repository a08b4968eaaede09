"""A network for battles: one shared encoder per move and per Pokemon, pooled into a context that scores each action.

The sets-of-entities encoder follows Vinyals et al., "Grandmaster level in StarCraft II using multi-agent
reinforcement learning", Nature 2019 (entity encoder and pointer-like selection), with pooling instead of attention
(Zaheer et al., "Deep Sets", NeurIPS 2017, theorem 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poke.networks.encoding.encoder import Encoder
from poke.networks.encoding.layout import entities, entity_scale, read_id


class EntityEncoder(nn.Module):
    """Dense features, embedded ids and a part given from outside, to one vector an entity.

    Args:
        kind: the entity's features, from the layout.
        embedding_size: width of an embedded id.
        extra_size: width of the part given from outside.
        size: width of the result.
    """

    scale: Tensor

    def __init__(
        self, kind: Mapping[str, Any], embedding_size: int, extra_size: int, size: int
    ) -> None:
        super().__init__()
        self.register_buffer("scale", entity_scale(kind), persistent=False)
        self._ids = [(field["offset"], table_key(field["table"])) for field in kind["ids"]]
        self.linear = nn.Linear(
            len(self.scale) + len(self._ids) * embedding_size + extra_size, size
        )

    def forward(self, entity: Tensor, tables: nn.ModuleDict, extra: Tensor | None = None) -> Tensor:
        """Map `[..., entity_size]` int8 and `[..., extra_size]` float32 to `[..., size]` float32."""
        parts = [entity[..., : len(self.scale)].float() * self.scale]
        parts += [tables[table](read_id(entity, offset)) for offset, table in self._ids]
        if extra is not None:
            parts.append(extra)
        return torch.relu(self.linear(torch.cat(parts, dim=-1)))


def table_key(table: str) -> str:
    """Return the name of a table's embedding; `type` alone would hide a method of torch's."""
    return f"{table}_embedding"


class BattleEncoder(Encoder):
    """Encodes a battle as one context, from the arena, both active Pokemon and the means of both teams.

    Args:
        layout: groups ``global``, ``own`` and ``opponent``, and which action is about what.
        embedding_size: width of the embeddings of species, moves, abilities, items and types.
        entity_size: width of an encoded move and of an encoded Pokemon.
        size: width of the context.
    """

    def __init__(
        self, layout: Mapping[str, Any], *, embedding_size: int, entity_size: int, size: int
    ) -> None:
        super().__init__()
        self.size = size
        self._groups = {group["name"]: group for group in layout["groups"]}
        pokemon, arena = layout["kinds"]["pokemon"], layout["kinds"]["global"]
        self._moves = pokemon["moves"]
        self._active = next(f["offset"] for f in pokemon["dense"] if f["name"] == "active")
        self.tables = nn.ModuleDict(
            {
                table_key(name): nn.Embedding(count, embedding_size, padding_idx=0)
                for name, count in layout["tables"].items()
            }
        )
        self.move_encoder = EntityEncoder(self._moves, embedding_size, 0, entity_size)
        self.own_encoder = EntityEncoder(pokemon, embedding_size, entity_size, entity_size)
        self.opponent_encoder = EntityEncoder(pokemon, embedding_size, entity_size, entity_size)
        self.arena_encoder = EntityEncoder(arena, embedding_size, 0, entity_size)
        self.context = nn.Linear(5 * entity_size, size)

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, observation_size]` int8 to `[batch, size]` float32."""
        return self.encode(observation)[0]

    def encode(self, observation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the context `[batch, size]`, own Pokemon `[batch, 6, entity]` and moves `[batch, 4, entity]`."""
        own, own_active, own_moves = self._encode_team(observation, "own", self.own_encoder)
        other, other_active, _ = self._encode_team(observation, "opponent", self.opponent_encoder)
        arena = self.arena_encoder(
            entities(observation, self._groups["global"]).squeeze(1), self.tables
        )
        seen = torch.cat(
            [arena, own_active, other_active, own.mean(dim=1), other.mean(dim=1)], dim=1
        )
        return torch.relu(self.context(seen)), own, own_moves

    def _encode_team(
        self, observation: Tensor, group: str, encoder: EntityEncoder
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return each Pokemon `[batch, 6, entity]`, the active one `[batch, entity]`, its moves `[batch, 4, entity]`"""
        team = entities(observation, self._groups[group])
        move_bytes = team[..., self._moves["offset"] :].unflatten(
            2, (self._moves["count"], self._moves["size"])
        )
        moves = self.move_encoder(move_bytes, self.tables)
        pokemon = encoder(team, self.tables, moves.mean(dim=2))
        active = team[..., self._active].float()
        return (
            pokemon,
            torch.einsum("bp,bpe->be", active, pokemon),
            torch.einsum("bp,bpme->bme", active, moves),
        )


class BattleNetwork(BattleEncoder):
    """Scores every action of a battle by the entity it is about: a switch by its Pokemon, a move by its move.

    Args:
        num_outputs: number of actions.
        layout: as of `BattleEncoder`.
        embedding_size: likewise.
        entity_size: likewise.
        hidden_size: width of the context and of the scoring layer.

    Raises:
        ValueError: the observations carry no layout of entities, or the outputs are no scores of a battle's actions.
    """

    def __init__(
        self,
        *,
        num_outputs: int,
        layout: Mapping[str, Any] | None,
        embedding_size: int,
        entity_size: int,
        hidden_size: int,
    ) -> None:
        if layout is None:
            raise ValueError(
                "network=battle needs observations made of Pokemon; network=auto takes any"
            )
        if num_outputs != num_actions(layout):
            raise ValueError(
                f"network=battle scores the {num_actions(layout)} actions of a battle and nothing else, not "
                f"{num_outputs} outputs; network=auto can"
            )
        super().__init__(
            layout, embedding_size=embedding_size, entity_size=entity_size, size=hidden_size
        )
        self.size = num_outputs
        self.switch_query = nn.Linear(hidden_size, hidden_size)
        self.switch_key = nn.Linear(entity_size, hidden_size, bias=False)
        self.switch_score = nn.Linear(hidden_size, 1)
        self.move_query = nn.Linear(hidden_size, hidden_size)
        self.move_key = nn.Linear(entity_size, hidden_size, bias=False)
        self.move_score = nn.Linear(hidden_size, _ways(layout))

    def forward(self, observation: Tensor) -> Tensor:
        """Map `[batch, size]` int8 to `[batch, num_actions]` float32 logits: switches first, then moves by way."""
        context, own, own_moves = self.encode(observation)
        switch = torch.relu(self.switch_key(own) + self.switch_query(context).unsqueeze(1))
        move = torch.relu(self.move_key(own_moves) + self.move_query(context).unsqueeze(1))
        by_way = self.move_score(move).transpose(1, 2)  # [batch, ways, 4]
        return torch.cat([self.switch_score(switch).squeeze(2), by_way.flatten(start_dim=1)], dim=1)


def num_actions(layout: Mapping[str, Any]) -> int:
    """Return how many actions a battle has: a switch a Pokemon, and every way of every move."""
    own = next(group for group in layout["groups"] if group["name"] == "own")
    return own["count"] + _ways(layout) * layout["kinds"]["pokemon"]["moves"]["count"]


def _ways(layout: Mapping[str, Any]) -> int:
    """Of making a move: plain, mega, Z, dynamax, tera."""
    return sum(action["name"] != "switch" for action in layout["actions"])
