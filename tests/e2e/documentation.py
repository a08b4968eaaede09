"""Reads the commands of README and of `--help`, with what they are said to print."""

import re
from dataclasses import dataclass, field

STARTS = ("python ", "python3 ", "poke-", "pip ", "make ", "tensorboard ")  # of commands in prose
NUMBER = re.compile(r"[<>+-]*\d+(?:\.\d+)?(?:e[-+]?\d+)?")
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T /]\d\d[:-]\d\d[:-]\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"(?<=-)[0-9a-f]{4}(?:[0-9a-f]{4})?\b"), "HEX"),
    (re.compile(r"(?<=equal in all )\(\d+\)"), "ALL"),  # how many knobs there are besides
    (re.compile(r"(?<![\w.])/(?:[\w.+-]+/)*[\w.+-]+"), "PATH"),
)


@dataclass
class Step:
    """Something the documentation has a reader do.

    Args:
        text: a command line, python code, a config of the reader's own, or a mistake's answer.
        kind: command, python, config or mistake.
        line: where it stands.
        shown: what it is said to print, None where nothing is said.
    """

    text: str
    kind: str
    line: int
    shown: list[str] | None = None


@dataclass
class Section:
    """What stands under one heading."""

    title: str
    steps: list[Step] = field(default_factory=list)


def read_sections(text):
    """Return the sections of a Markdown text that have something to do in them.

    Commands in a section's prose, where they are code spans, come after those of its blocks, which make
    what these look at.

    Raises:
        ValueError: a block is neither commands, python, yaml, a drawing, answers to mistakes nor what the block before
            it prints.
    """
    sections = [Section("Beginning")]
    spans = []  # of the section
    lines = text.splitlines()
    at, last, alone = 0, None, False  # the last block's last step, and whether prose came since
    while at < len(lines):
        line = lines[at]
        if line.startswith("```"):
            end = next(i for i in range(at + 1, len(lines)) if lines[i].startswith("```"))
            previous = None if alone else last
            steps = _read_block(line[3:].strip(), lines[at + 1 : end], at + 2, previous)
            sections[-1].steps += steps
            last, alone = (steps[-1] if steps else None), False
            at = end
        elif line.startswith("## "):
            sections[-1].steps += spans
            sections.append(Section(line[3:]))
            spans, last = [], None
        elif line.strip():
            alone = True
            for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", line):
                if code.startswith(STARTS) or code in ("poke-compare", "poke-train"):
                    spans.append(Step(code, "command", at + 1))
        at += 1
    sections[-1].steps += spans
    return [section for section in sections if section.steps]


def read_help(text):
    """Return the commands of the examples that a command's `--help` ends with."""
    lines = re.split(r"^examples:?$", text, flags=re.MULTILINE | re.IGNORECASE)[-1].splitlines()
    commands = [re.split(r" {3,}", line.strip())[0] for line in lines if line.startswith("  ")]
    return [Step(command, "command", 0) for command in commands]


def _read_block(language, lines, number, previous):
    if language == "python":
        printed = [m[1] for line in lines if (m := re.match(r"print\(.*\) +# ([{\[].*)", line))]
        return [Step("\n".join(lines), "python", number, printed or None)]
    if language == "text":  # a drawing
        return []
    if language == "yaml":
        return [Step("\n".join(lines), "config", number)]
    if any(line.startswith("$ ") for line in lines):
        return _read_console(lines, number)
    if language == "sh" or lines[0].startswith(STARTS):
        return _read_commands(lines, number)
    if previous is not None and previous.shown is None:
        previous.shown = lines
        return []
    if all(line.startswith("poke: ") for line in lines):
        return [Step(line, "mistake", number + i) for i, line in enumerate(lines)]
    raise ValueError(f"line {number}: what is this block?")


def _read_commands(lines, number):
    steps, begun = [], ""
    for i, line in enumerate(lines):
        begun += re.sub(r"\s+# .*$", "", line).strip()
        if begun.endswith("\\"):
            begun = begun[:-1]
        elif begun:
            steps.append(Step(begun, "command", number + i))
            begun = ""
    return steps


def _read_console(lines, number):
    steps = []
    for i, line in enumerate(lines):
        if line.startswith("$ "):
            steps.append(Step(line[2:], "command", number + i, []))
        elif steps:
            steps[-1].shown.append(line)
    return steps


def differences(shown, printed, *, another_size):
    """Return where a command printed something else than the documentation shows.

    Times, paths, hex digits and the widths of columns never matter. Numbers do not where the shown line
    has decimals, since those differ from machine to machine, nor anywhere when the command was run at
    another size. `...` stands for anything, a line of it for any lines.

    Args:
        shown: lines of the documentation.
        printed: lines of the command.
        another_size: whether all numbers differ for a good reason.
    """
    left = [_masked(line) for line in printed]
    wanted = [_masked(line) for line in shown]
    while left and not left[-1]:
        left.pop()
    for i, line in enumerate(wanted):
        if line == "...":
            following = wanted[i + 1] if i + 1 < len(wanted) else None
            while left and (following is None or not _fits(following, left[0], another_size)):
                left.pop(0)
        elif not left or not _fits(line, left[0], another_size):
            return f"shown:   {line}\nprinted: {left[0] if left else 'nothing more'}"
        else:
            left.pop(0)
    return f"printed and not shown: {left[0]}" if left else ""


def _fits(shown, printed, another_size):
    return re.fullmatch(_pattern(shown, another_size), printed) is not None


def _pattern(shown, another_size):
    loose = another_size or re.search(r"\d\.\d", shown)
    parts = NUMBER.split(shown) if loose else [shown]
    exact = (re.escape(part).replace(re.escape("..."), ".*") for part in parts)
    return NUMBER.pattern.join(exact)


def _masked(line):
    for pattern, name in MASKS:
        line = pattern.sub(name, line)
    return " ".join(line.split())
