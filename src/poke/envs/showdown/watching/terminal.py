"""A battle in a terminal, turn by turn: what happened, both active Pokemon, what the policy thought."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from poke.envs.showdown.watching.chronicle import Chronicle, Moment
from poke.envs.showdown.watching.scenes import scene
from poke.envs.showdown.watching.words import Narrator, visible

WIDTH = 80
TOP_CHOICES = 4
_LEAST = 0.005  # of a choice that is shown, unless it was made
_BAR = 20
_GIMMICKS = {"mega": "mega", "z_move": "Z-move", "dynamax": "dynamax", "tera": "tera"}
_STYLES = {"turn": "bold", "effect": "dim", "chat": "cyan", "note": "dim italic"}
_OUTCOMES = {1: "won", 0: "drew", -1: "lost"}


class Terminal:
    """Prints a chronicle while it grows; colours where the output is a terminal, unless NO_COLOR is set.

    Args:
        chronicle: of a battle that has just begun.
        output: where to; standard output by default.
    """

    def __init__(self, chronicle: Chronicle, output: TextIO | None = None) -> None:
        self._chronicle = chronicle
        self._console = Console(file=output or sys.stdout, highlight=False, soft_wrap=False)
        self._console.width = min(WIDTH, self._console.width)
        self._narrator = Narrator(chronicle.player)
        self._num_lines = self._num_moments = 0

    def show(self) -> None:
        """Print what is new: call it after every decision and at the end."""
        for moment in self._chronicle.moments[self._num_moments :]:
            self._tell(moment.num_lines)
            if moment.decision.mask.any():
                self._show(moment)
            self._num_moments += 1
        if self._chronicle.outcome is not None:
            self._tell(len(self._chronicle.lines))
            who = visible(self._chronicle.agent) or "the player"
            self._print(Text(f"{who} {_OUTCOMES[self._chronicle.outcome]}", style="bold"))

    def _tell(self, num_lines: int) -> None:
        """Print the lines before a moment."""
        for line in self._chronicle.lines[self._num_lines : num_lines]:
            said = self._narrator.tell(line)
            if said is None:
                continue
            if said.kind == "turn":
                title = f"── {said.text} "
                self._print(Text("\n" + title + "─" * (self._console.width - len(title)), "bold"))
                continue
            indent = 4 if said.kind == "effect" else 2
            self._print(Text(said.text, style=_STYLES.get(said.kind, "")), indent)
        self._num_lines = max(self._num_lines, num_lines)

    def _show(self, moment: Moment) -> None:
        drawn = scene(moment)
        for side, left, name in zip(("own", "opponent"), drawn["left"], (">", "<"), strict=True):
            one = next((p for p in drawn[side] if p["active"]), None)
            if one is not None:
                self._print(_pokemon(one, left, name))
        if drawn["field"]:
            self._print(Text("up: " + ", ".join(drawn["field"]), style="dim"), 2)
        for side, whose in zip(drawn["sides"], ("own", "opposing"), strict=True):
            if side:
                self._print(Text(f"{whose} side: " + ", ".join(side), style="dim"), 2)
        if drawn["refused"]:
            self._print(Text("the choice before was refused", style="yellow"), 2)
        for place, option in enumerate(drawn["options"]):
            likely = place < TOP_CHOICES and (option["probability"] or 0) >= _LEAST
            if likely or option["chosen"]:
                self._print(_option(option), 2)
        if drawn["value"] is not None:
            self._print(Text(f"value {drawn['value']:+.2f}", style="magenta"), 4)

    def _print(self, text: Text, indent: int = 0) -> None:
        """Print a text, wrapped within the width under its own beginning."""
        for line in text.wrap(self._console, max(20, self._console.width - indent)):
            self._console.print(Text(" " * indent) + line)


def _pokemon(one: dict[str, Any], left: int, mark: str) -> Text:
    text = Text(f"{mark} {one['name']:<17.17} ")
    style = "green" if one["hp"] > 50 else "yellow" if one["hp"] > 20 else "red"
    filled = round(one["hp"] * _BAR / 100) or (one["hp"] > 0)
    text.append("█" * filled, style).append("░" * (_BAR - filled), "dim")
    text.append(f" {one['hp']:>3} % ")
    text.append(f" {one['status']}" if one["status"] else "", "bold yellow")
    for stat, stages in one["boosts"]:
        text.append(f" {stages:+d} {stat}", "green" if stages > 0 else "red")
    effects = ", ".join(one["effects"])
    text.append(f" {effects}" if effects else "", "dim")
    return text.append(f" ({left} left)", "dim")


def _option(option: dict[str, Any]) -> Text:
    label = option["label"]
    if option["kind"] == "switch":
        label = f"switch to {label}"
    elif option["kind"] in _GIMMICKS:
        label = f"{label} + {_GIMMICKS[option['kind']]}"
    text = Text("▸ " if option["chosen"] else "  ").append(f"{label:<28.28}")
    if option["probability"] is None:
        text.append(" only choice" if option["chosen"] else "", "dim")
    else:
        filled = round(option["probability"] * _BAR)
        text.append(f" {100 * option['probability']:5.1f} % ").append("█" * filled, "blue")
    if option["chosen"]:
        text.stylize("bold")
    return text
