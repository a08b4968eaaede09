"""Battles as one HTML file: what a player saw, chose and thought, decision by decision. It needs no network."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poke.envs.showdown.watching.chronicle import Chronicle
from poke.envs.showdown.watching.scenes import decisions, scene
from poke.envs.showdown.watching.words import narrated, visible

PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("elements.js", "field.js", "curve.js", "page.js")


def render_page(chronicles: Sequence[Chronicle]) -> str:
    """Return the page of some battles; with several there is a selector.

    Args:
        chronicles: of battles, over or not.
    """
    data = {"battles": [told(chronicle) for chronicle in chronicles]}
    return fill(
        read("page.html"),
        {
            "style": read("page.css"),
            "script": "\n".join(map(read, _SCRIPTS)),
            "data": _packed(data),
        },
    )


def write_page(chronicles: Sequence[Chronicle], file: str | os.PathLike[str]) -> None:
    """Write the page of some battles; the file appears when it is whole.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(file)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.write_text(render_page(chronicles), encoding="utf-8")
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def told(chronicle: Chronicle) -> dict[str, Any]:
    """Return a battle as pages draw it, JSON-able.

    It has ``names``, the player's own first; ``log``, the lines in words as pairs of kind and text; and ``scenes``, the
    decisions as of `scene`, with ``turn`` and ``at``, how much of the log came before.
    """
    log, ends, turns = narrated(chronicle.lines, chronicle.player)
    names = [visible(name) for name in chronicle.names]
    if chronicle.player == "p2":
        names.reverse()
    return {
        "format": chronicle.battle_format,
        "agent": visible(chronicle.agent),
        "opponent": visible(chronicle.opponent),
        "names": names,
        "outcome": chronicle.outcome,
        "turns": turns[-1],
        "log": log,
        "scenes": [
            {**scene(moment), "turn": turns[moment.num_lines], "at": ends[moment.num_lines]}
            for moment in decisions(chronicle)
        ],
    }


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Return the template with each ``{{name}}`` replaced; what is put in is not looked at again."""
    first, *pieces = template.split("{{")
    filled = [first]
    for piece in pieces:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)


def read(name: str) -> str:
    """Return a file that pages are made of."""
    return (PAGE / name).read_text(encoding="utf-8")


def _packed(data: dict[str, Any]) -> str:
    """Return data as text without a letter that means anything in HTML.

    Pokemon hardly change from one decision to the next: packed, a battle takes a fiftieth of its JSON.
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
