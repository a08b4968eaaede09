"""Players of battles: a policy, and a record of its decisions that the server accepted.

A choice is accepted when the next thing the server says of the battle is not its refusal. Refused
choices happen: some traps are only told of when one tries to leave.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from poke_env import AccountConfiguration, ServerConfiguration
from poke_env.battle import AbstractBattle, Battle
from poke_env.environment import SinglesEnv
from poke_env.player import BattleOrder, MaxBasePowerPlayer, Player, SimpleHeuristicsPlayer

from poke.envs.showdown.observation import encode

Policy = Callable[[Battle], BattleOrder]

POLICIES: dict[str, Policy] = {
    "simple_heuristics": lambda battle: SimpleHeuristicsPlayer.choose_singles_move(battle)[0],
    "max_base_power": MaxBasePowerPlayer.choose_singles_move,
    "random": Player.choose_random_singles_move,
}


@dataclass(frozen=True)
class Decision:
    """One accepted choice.

    Args:
        observation: `[layout.SIZE] int8`, what the player knew.
        action_mask: `[num_actions] bool`, what was legal as far as the player knew.
        action: in SinglesEnv's numbering.
    """

    observation: np.ndarray
    action_mask: np.ndarray
    action: int


class BattlePlayer(Player):
    """Plays one battle at a time by a policy that is set for each battle.

    Make it in a running event loop; it lives in that loop until `leave`. Of the last battle it has
    `decisions`, and in `fault` what went wrong; `listening` is the task that ends with its
    connection.

    Args:
        name: unique on the server, at most 18 letters and digits.
        battle_format: such as ``gen1randombattle``.
        websocket_url: of the server.
    """

    def __init__(self, name: str, battle_format: str, websocket_url: str) -> None:
        super().__init__(
            AccountConfiguration(name, None),
            battle_format=battle_format,
            server_configuration=ServerConfiguration(websocket_url, ""),
            loop=asyncio.get_running_loop(),
            log_level=logging.CRITICAL + 1,  # what goes wrong is told by `fault`
            start_listening=False,
            open_timeout=None,
            ping_interval=None,
        )
        self.decisions: list[Decision] = []
        self.fault: Exception | None = None
        self.num_messages = 0
        self._policy: Policy = POLICIES["random"]
        self._records = False
        self._pending: Decision | None = None
        self._left = False
        self.listening = asyncio.create_task(self.ps_client.listen())

    def prepare(self, policy: Policy, *, record: bool) -> None:
        """Forget the last battle; play the next by this policy, keeping its decisions or not."""
        self.reset_battles()
        self.decisions, self.fault, self._pending = [], None, None
        self._policy, self._records = policy, record

    async def leave(self) -> None:
        """Close the connection; what still arrives is not heeded."""
        self._left = True
        if not self.listening.done() and self.ps_client.logged_in.is_set():
            await self.ps_client.websocket.close()
        self.listening.cancel()
        await asyncio.gather(self.listening, return_exceptions=True)

    def choose_move(self, battle: AbstractBattle) -> BattleOrder:
        """Follow the policy; what it decided before is accepted by now."""
        assert isinstance(battle, Battle)
        self._keep_pending()
        order = self._policy(battle)
        if self._records:
            self._pending = _decide(battle, order)
        return order

    async def _handle_battle_message(self, split_messages: list[list[str]]) -> None:
        # Line by line, so that one that cannot be handled does not take the battle's end with it.
        self.num_messages += 1
        header, *lines = split_messages
        over = header[0][1:] not in self.battles and lines[0][1:2] != ["init"]
        if over or self._left:
            return
        for line in lines:
            if line[1:2] == ["error"]:
                self._pending = None
            try:
                await super()._handle_battle_message([header, line])
            except Exception as error:
                await self._give_up(header[0][1:], error)

    async def _give_up(self, battle_tag: str, error: Exception) -> None:
        if self.fault is None and not self._left:
            self.fault = error
            await self.ps_client.send_message("/forfeit", battle_tag)

    def _battle_finished_callback(self, battle: AbstractBattle) -> None:
        self._keep_pending()

    def _keep_pending(self) -> None:
        if self._pending is not None:
            self.decisions.append(self._pending)
            self._pending = None


def _decide(battle: Battle, order: BattleOrder) -> Decision:
    """Return an order as a decision.

    Raises:
        ValueError: an order that is no action, or one the mask does not allow.
    """
    mask = np.array(SinglesEnv.get_action_mask(battle), dtype=bool)
    action = int(SinglesEnv.order_to_action(order, battle))
    if action < 0 or not mask[action]:
        raise ValueError(f"{order} is action {action}, which the mask does not allow")
    return Decision(encode(battle), mask, action)


def outcome(battle: Any) -> int:
    """Return 1 for a battle its player won, -1 for one it lost, 0 for a draw."""
    return int(bool(battle.won)) - int(bool(battle.lost))
