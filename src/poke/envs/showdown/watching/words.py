"""The lines of a battle in words, as one of its players reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from poke.envs.showdown.watching import sentences

_TAG = re.compile(r"\[([a-z0-9]+)\]\s*(.*)", re.DOTALL)
_POKEMON = re.compile(r"(p[12])[a-c]?: ?(.*)", re.DOTALL)
_SOURCE = re.compile(r"(?:move|item|ability|format|condition|pokemon): *", re.IGNORECASE)
_HP = re.compile(r"(\d+)(?:/(\d+))?")
# Letters that would move a terminal's cursor or turn a text around.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_CHATS = {"c": 1, "chat": 1, "c:": 2}  # how many parts come before the text


@dataclass(frozen=True)
class Said:
    """A line in words.

    Args:
        kind: ``turn``, ``deed``, ``effect`` of one, ``chat`` or ``note``.
        text: one line, with people's names and words as they are but for letters that are not to be seen.
    """

    kind: str
    text: str


def visible(text: str) -> str:
    """Return a text of strangers in one line, without letters that a terminal would obey."""
    return _CONTROLS.sub(" ", text).strip()


def to_id(name: str) -> str:
    """Return a name as Showdown's tables have it."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


class Narrator:
    """Puts lines into words, in their order; it remembers HP, to tell what was lost.

    Args:
        player: who reads: ``p1`` or ``p2``.
    """

    def __init__(self, player: str) -> None:
        self._player = player
        self._hp: dict[str, int] = {}  # percent, by seat and name
        self._methods: dict[str, Callable[[_Line], str | None]] = {
            "move": _moved,
            "cant": _cannot,
            "switch": self._came,
            "drag": lambda line: self._came(line, "was dragged in"),
            "replace": lambda line: self._came(line, "shows itself"),
            "-damage": self._hurt,
            "-heal": self._healed,
            "-sethp": self._healed,
            "-status": lambda line: line.choose_pair(sentences.STATUSES, 0),
            "-curestatus": lambda line: line.choose_pair(sentences.STATUSES, 1),
            "-boost": lambda line: _boosted(line, "rose"),
            "-unboost": lambda line: _boosted(line, "fell"),
            "-setboost": lambda line: _boosted(line, "is set"),
            "-weather": _weather,
            "-start": lambda line: line.choose(sentences.BEGINNINGS),
            "-end": lambda line: line.choose(sentences.ENDINGS),
            "-activate": lambda line: line.choose(sentences.HAPPENINGS),
            "-miss": lambda line: line.fill(
                "{other} avoided it" if line.part(1) else "{who} missed"
            ),
            "-enditem": _lost_item,
        }

    def tell(self, line: str) -> Said | None:
        """Return a line in words, None where there is nothing to tell."""
        kind, _, rest = line[1:].partition("|") if line.startswith("|") else ("", "", line)
        if kind in ("", "-message", "message", "-hint"):
            text = visible(rest)
            return Said("note", text) if text else None
        if kind in _CHATS:
            name, _, text = rest.split("|", _CHATS[kind] - 1)[-1].partition("|")
            return Said("chat", f"{visible(name)}: {visible(text)}")
        if kind in sentences.UNTOLD:
            return None
        if kind == "turn":
            return Said("turn", f"Turn {visible(rest)}")
        sentence = self._sentence(kind, _Line(rest, self._player))
        if not sentence:
            return None
        # A name keeps its letters, a sentence begins with a large one.
        sentence = "The" + sentence[3:] if sentence.startswith("the ") else sentence
        return Said("effect" if kind.startswith("-") else "deed", visible(sentence))

    def _sentence(self, kind: str, line: _Line) -> str | None:
        method = self._methods.get(kind)
        if method is not None:
            text = method(line)
        else:
            template = sentences.DEEDS.get(kind) or sentences.EFFECTS.get(kind)
            # What is new to the game is shown as it is, without its bars.
            text = line.fill(template) if template else " ".join([kind.lstrip("-"), *line.parts])
        return None if "silent" in line.tags else text

    def _came(self, line: _Line, verb: str = "came in") -> str:
        self._change(line, 2)
        details = line.part(1).split(", ")
        level = next((part[1:] for part in details if re.fullmatch(r"L\d+", part)), "100")
        name = line.part(0).partition(": ")[2]
        species = f" ({details[0]})" if name != details[0] else ""
        return line.fill("{who}") + f"{species} {verb}, level {level}" + line.cause

    def _hurt(self, line: _Line) -> str:
        lost, left = self._change(line, 1)
        if not left:
            return line.fill("{who} lost its last " + f"{lost} %" + "{cause}")
        return line.fill("{who} lost " + f"{lost} %, {left} % left" + "{cause}")

    def _healed(self, line: _Line) -> str:
        lost, left = self._change(line, 1)
        what = f"lost {lost} %" if lost > 0 else f"gained {-lost} %"
        return line.fill("{who} " + f"{what}, {left} % now" + "{cause}")

    def _change(self, line: _Line, part: int) -> tuple[int, int]:
        """Remember HP, and return how many percent were lost and are left."""
        who = line.pokemon(0)
        found = _HP.match(line.part(part))
        if not found:
            return 0, self._hp.get(who, 100)
        left = _percent(int(found[1]), int(found[2] or 100))
        lost = self._hp.get(who, 100) - left
        self._hp[who] = left
        return lost, left


def narrated(
    lines: Sequence[str], player: str
) -> tuple[list[tuple[str, str]], list[int], list[int]]:
    """Return a battle's log in words.

    Args:
        lines: of the battle, from its beginning.
        player: who reads: ``p1`` or ``p2``.

    Returns:
        Kind and text of what is told; and of each number of lines, from none to all, how much they tell and which turn
        they have come to.
    """
    narrator = Narrator(player)
    log: list[tuple[str, str]] = []
    ends, turns = [0], [0]
    for line in lines:
        said = narrator.tell(line)
        turn = turns[-1]
        if said is not None:
            log.append((said.kind, said.text))
            if said.kind == "turn" and (number := line.rpartition("|")[2]).isdecimal():
                turn = int(number)
        ends.append(len(log))
        turns.append(turn)
    return log, ends, turns


def _percent(part: int, whole: int) -> int:
    """Return percent as observations have them: only none is 0, and only all is 100."""
    if part <= 0 or part >= whole:
        return 0 if part <= 0 else 100
    return max(1, min(99, int(100 * part / whole + 0.5)))


class _Line:
    """The parts of a line, to be put into a sentence."""

    def __init__(self, rest: str, player: str) -> None:
        parts = rest.split("|")
        found = [_TAG.fullmatch(part) for part in parts]
        self.parts = [part for part, tag in zip(parts, found, strict=True) if tag is None]
        self.tags = {tag[1]: tag[2] for tag in found if tag is not None}
        self._player = player

    def part(self, index: int) -> str:
        """Return a part, '' where there is none."""
        return self.parts[index] if index < len(self.parts) else ""

    def pokemon(self, index: int) -> str:
        """Return a Pokemon as seat and name."""
        found = _POKEMON.fullmatch(self.part(index))
        return f"{found[1]} {found[2]}" if found else self.part(index)

    @property
    def cause(self) -> str:
        """What it came from, in brackets."""
        source = self.tags.get("from", "")
        name = sentences.CAUSES.get(source, _SOURCE.sub("", source))
        if not name:
            return ""
        of = _POKEMON.fullmatch(self.tags.get("of", ""))
        own = of is not None and of[1] != self.part(0)[:2]
        return f" ({name} of {self._named(of)})" if of is not None and own else f" ({name})"

    def fill(self, template: str) -> str:
        """Return a template of `sentences` with this line's parts."""
        return template.format(
            who=self._named(_POKEMON.fullmatch(self.part(0))) or self.part(0),
            other=self._named(_POKEMON.fullmatch(self.part(1))) or self.part(1),
            first=self._effect(0),
            second=self._effect(1),
            third=self._effect(2),
            side="this side" if self.part(0).startswith(self._player) else "the opposing side",
            more="".join(f", {_SOURCE.sub('', part)}" for part in self.parts[2:] if part),
            cause=self.cause,
        )

    def choose(self, templates: Mapping[str, str]) -> str:
        """Return the template of the effect that is the second part, filled."""
        return self.fill(templates.get(to_id(self._effect(1)), templates[""]))

    def choose_pair(self, templates: Mapping[str, tuple[str, str]], which: int) -> str:
        """Likewise of pairs."""
        return self.fill(templates.get(self.part(1), templates[""])[which])

    def _effect(self, index: int) -> str:
        part = self.part(index)
        found = _POKEMON.fullmatch(part)
        if found:
            return self._named(found)
        return _SOURCE.sub("", part).partition(", ")[0]

    def _named(self, found: re.Match[str] | None) -> str:
        if found is None:
            return ""
        return found[2] if found[1] == self._player else f"the opposing {found[2]}"


def _moved(line: _Line) -> str:
    text = line.fill("{who} used {second}")
    source = _SOURCE.sub("", line.tags.get("from", ""))
    if source and source != "lockedmove" and to_id(source) != to_id(line.part(1)):
        text += f" ({source})"
    return text + (", without a target" if "notarget" in line.tags else "")


def _cannot(line: _Line) -> str:
    move = f", not able to use {line.part(2)}" if line.part(2) else ""
    return line.choose(sentences.CANNOT) + move


def _boosted(line: _Line, verb: str) -> str:
    stat = sentences.STATS.get(line.part(1), line.part(1))
    amount = line.part(2)
    if verb == "is set":
        return line.fill("{who}'s " + f"{stat} is at {amount}" + "{cause}")
    if amount == "0":
        return line.fill("{who}'s " + f"{stat} cannot change any further" + "{cause}")
    return line.fill("{who}'s " + f"{stat} {verb} by {amount}" + "{cause}")


def _weather(line: _Line) -> str | None:
    if "upkeep" in line.tags:
        return None
    weather = sentences.WEATHERS.get(to_id(line.part(0)), line.part(0))
    if to_id(weather) == "none":
        return "The weather cleared"
    return f"{weather} began{line.cause}"


def _lost_item(line: _Line) -> str:
    return line.fill(
        "{who} ate its {second}" if "eat" in line.tags else "{who} lost its {second}{cause}"
    )
