"""What the workers of battles are told and what they tell: starts and records.

Fields of a record:
    battle, seat: whose it is; seat 0 is p1.
    flags: `ASKED`, `ENDED`, `REFUSED`, `LOST`.
    mask: bit a is set where action a is legal.
    potential: difference of the mean HP fractions and of Pokemon left, as this seat sees it, in [-1, 1].
    outcome: 1 won, 0 drawn, -1 lost.
    advice: what the seat's teacher would do, 255 without one.
    turn: of the battle.
    refused: choices of this seat so far.
    opponent_action: what the other did at this seat's last own decision: 0 nothing, 1 switched, 1 + a move's id.
    observation: see `layout`; zeros unless asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poke.envs.showdown import layout

ASKED, ENDED, REFUSED, LOST = 1, 2, 4, 8
NUM_SEATS = 2
RECORD = np.dtype(
    [
        ("battle", "<u2"),
        ("seat", "u1"),
        ("flags", "u1"),
        ("mask", "<u4"),
        ("potential", "<f4"),
        ("outcome", "i1"),
        ("advice", "u1"),
        ("turn", "<u2"),
        ("refused", "<u2"),
        ("opponent_action", "<u2"),
        ("observation", "i1", (layout.SIZE,)),
    ]
)

Seeds = tuple[str, str, str, str]


@dataclass(frozen=True)
class Start:
    """All that a battle comes from; with its replay, all that it is.

    Args:
        battle: its place, from 0.
        seed: hexadecimal: the battle's dice, p1's team, p2's team, scripted players.
        players: of p1 and p2: ``asked``, or a scripted player that decides in the worker.
        replay: (seat, action) of asked seats to take before anyone is asked, refused ones included.
        teachers: of p1 and p2: a scripted player whose choice is told to the seat when it is asked, or none.
    """

    battle: int
    seed: Seeds
    players: tuple[str, str] = ("asked", "asked")
    replay: tuple[tuple[int, int], ...] = ()
    teachers: tuple[str, str] = ("", "")


def battle_seeds(*numbers: int) -> Seeds:
    """Return the four seeds of a battle, drawn from non-negative numbers of any size."""
    words = np.random.SeedSequence(numbers).generate_state(16).tolist()
    first, second, third, fourth = (
        "".join(f"{word:08x}" for word in words[i : i + 4]) for i in range(0, 16, 4)
    )
    return first, second, third, fourth


def unpack_masks(masks: npt.NDArray[np.uint32], num_actions: int) -> npt.NDArray[np.bool_]:
    """Return masks as booleans: ``[...]`` uint32 to ``[..., num_actions]`` bool."""
    bits: npt.NDArray[np.bool_] = (
        masks[..., None] >> np.arange(num_actions, dtype=np.uint32) & 1 != 0
    )
    return bits
