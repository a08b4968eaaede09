"""The page of every knob: values and comments of `conf/`, types and ranges of `poke.config.schema`."""

import dataclasses
import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from poke.config.schema import TARGETS, RecordConfig, TrainConfig

PRESETS = ("debug", "experiment")  # groups whose options set values of others
GROUPS = ("algo", "checkpoint", "data", "env", "eval", "logger", "network", "trainer")
WHOLE = (TrainConfig, RecordConfig)
KINDS = {int: "whole number", float: "number", bool: "true, false", str: "text"}
SIGNS = {"at_least": ">=", "above": ">", "at_most": "<=", "below": "<"}


@dataclass
class Value:
    """One value of a YAML file: its dotted key, how it is written there, and the comment beside it."""

    key: str
    text: str
    comment: str


def page(conf: Path) -> str:
    """Return the page.

    Args:
        conf: the folder of groups.
    """
    parts = [
        "# Every knob\n",
        "What may stand behind `python -m poke.train`, group by group: `GROUP=OPTION` chooses an option, `KEY=VALUE` "
        "sets a value. Keys that an option lacks are refused with the nearest one that it has. `python -m poke.train "
        "--cfg job` prints every value of a command.\n",
        "## Values of no group\n",
        _table(_values(conf / "train.yaml"), TrainConfig),
    ]
    for group in sorted(p for p in conf.iterdir() if p.is_dir() and p.name != "hydra"):
        parts.append(f"## `{group.name}`\n")
        for file in sorted(group.glob("*.yaml")):
            parts.append(f"### `{group.name}={file.stem}`\n")
            if introduction := _introduction(file):
                parts.append(f"{introduction}\n")
            values = _values(file, group.name)
            own = [v for v in values if v.key.startswith(f"{group.name}.")]
            others = [v for v in values if v not in own]
            if base := _base(file):
                parts.append(
                    f"`{group.name}={base}` with {', '.join(f'`{v.key}={v.text}`' for v in own)}.\n"
                )
            elif own and group.name not in PRESETS:
                parts.append(_table(own, _schema_of(group.name, own)))
            if chosen := _chosen(file):
                parts.append(f"Chooses {', '.join(f'`{c}`' for c in chosen)}.\n")
            if others:
                parts.append(f"Sets {', '.join(f'`{v.key}={v.text}`' for v in others)}.\n")
    parts += [
        "## `python -m poke.record`\n",
        "Besides `env`, with the options above:\n",
        _table(_values(conf / "record.yaml"), RecordConfig),
    ]
    return "\n".join(parts)


def _introduction(file: Path) -> str:
    """Return the comment that a file begins with."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line[1:].strip())
    return " ".join(lines)


def _base(file: Path) -> str | None:
    """Return the option of the same group that a file begins from."""
    defaults = yaml.safe_load(file.read_text()).get("defaults", [])
    return next((e for e in defaults if isinstance(e, str) and e != "_self_"), None)


def _chosen(file: Path) -> list[str]:
    """Return the options of other groups that a file's defaults choose."""
    found = []
    for entry in yaml.safe_load(file.read_text()).get("defaults", []):
        if isinstance(entry, dict):
            ((group, option),) = entry.items()
            if group.startswith("override /") and option is not None:
                found.append(f"{group.removeprefix('override /')}={option}")
    return found


def _values(file: Path, group: str = "") -> list[Value]:
    """Return the values of a file in their order; below a group's name where the file speaks of the group alone."""
    text = file.read_text()
    path = f"{group}." if group and "@package _global_" not in text else ""
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode), file
    return list(_leaves(root, path, text.splitlines()))


def _leaves(node: yaml.MappingNode, path: str, lines: list[str]) -> Iterator[Value]:
    for name, value in node.value:
        key = f"{path}{name.value}"
        if name.value in ("defaults", "hydra"):
            continue
        is_block = isinstance(value, yaml.MappingNode) and not value.flow_style
        is_trunk = isinstance(value, yaml.MappingNode) and key in GROUPS
        if is_block or is_trunk:
            yield from _leaves(value, f"{key}.", lines)
            continue
        first, last = value.start_mark, value.end_mark
        written = "\n".join(lines)[_at(lines, first) : _at(lines, last)]
        yield Value(key, " ".join(written.split()), _comment(lines, last.line, last.column))


def _at(lines: list[str], mark: yaml.Mark) -> int:
    return sum(len(line) + 1 for line in lines[: mark.line]) + mark.column


def _comment(lines: list[str], row: int, column: int) -> str:
    """Return what stands behind a value, and in lines of its own below, as far as these are indented like it."""
    found = re.match(r"\s*,?\s*#\s?(.*)", lines[row][column:]) if row < len(lines) else None
    if found is None:
        return ""
    said, at = [found[1]], lines[row].index("#", column)
    for line in lines[row + 1 :]:
        if not line.strip().startswith("#") or line.index("#") != at:
            break
        said.append(line.strip()[1:].strip())
    return " ".join(said)


def _schema_of(group: str, values: list[Value]) -> type | None:
    for value in values:
        if value.key == f"{group}._target_":
            return TARGETS[value.text]
    declared = typing.get_type_hints(TrainConfig).get(group)
    return declared if dataclasses.is_dataclass(declared) else None


def _table(values: list[Value], schema: type | None) -> str:
    """Return a table of values, and of what a schema has besides."""
    group = "" if schema in WHOLE else values[0].key.split(".")[0] + "."
    targets = {
        v.key.removesuffix("._target_"): TARGETS[v.text]
        for v in values
        if v.key.endswith("._target_")
    }
    declared = dict(_declared(schema, group, targets)) if schema is not None else {}
    given = {v.key: v for v in values if not v.key.endswith("_target_")}
    rows = ["| key | value | may be | meaning |", "|---|---|---|---|"]
    for key in [
        *given,
        *(k for k in declared if not any(k == g or k.startswith(f"{g}.") for g in given)),
    ]:
        field, hint = declared.get(key, (None, None))
        value = given.get(key) or Value(key, _default(field), "")
        meaning = value.comment or (field.metadata.get("help", "") if field else "")
        cells = (f"`{key}`", f"`{value.text}`", _allowed(field, hint), meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _declared(
    schema: type, path: str, targets: dict[str, type]
) -> Iterator[tuple[str, tuple[dataclasses.Field[Any], Any]]]:
    """Yield the fields of a schema and of those below it, with their types; of a whole config not those of groups."""
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        key, hint = f"{path}{field.name}", hints[field.name]
        if schema in WHOLE and field.name in GROUPS:
            continue
        below = targets.get(key) or (hint if dataclasses.is_dataclass(hint) else None)
        if below is None:
            yield key, (field, hint)
        else:
            yield from _declared(below, f"{key}.", targets)


def _default(field: dataclasses.Field[Any] | None) -> str:
    if field is None or field.default is dataclasses.MISSING:
        return "required"
    return field.default if isinstance(field.default, str) else json.dumps(field.default)


def _allowed(field: dataclasses.Field[Any] | None, hint: Any) -> str:
    """Say what a value may be: its choices, or its type and range."""
    if field is None:
        return ""
    if choices := field.metadata.get("choices"):
        return ", ".join(f"`{choice}`" for choice in choices)
    bounds = (field.metadata.get("bounds") or {}).items()
    limits = [
        f"{SIGNS[word]} {bound}" for word, bound in bounds if bound is not None and bound < 2**32
    ]
    kind = _named(hint)
    of = " of numbers" if kind == "list" and limits else ""
    return f"{kind}{of} {' and '.join(limits)}".strip() + (
        ", or null" if _may_be_null(hint) else ""
    )


def _may_be_null(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)


def _named(hint: Any) -> str:
    """Return a type in words; of one that may be null, the other."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return ", or ".join(
            _named(kind) for kind in typing.get_args(hint) if kind is not type(None)
        )
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(hint))
    if hint in KINDS:
        return KINDS[hint]
    origin = typing.get_origin(hint) or hint
    if origin in (list, tuple):
        return "list"
    return "mapping" if origin is dict else ""
