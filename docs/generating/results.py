"""The page of benchmarks: every file of `benchmarks/results`, with the command and the day that it names."""

import ast
import csv
import re
from collections.abc import Iterable
from pathlib import Path

SHOWN = 12  # rows of a table; longer ones are folded

INTRODUCTION = """# Benchmarks

What was measured, as it was measured: every file of `benchmarks/results/` with the command that makes it. A speed is a
ratio to a peer or to a limit of the machine, measured in the same run, in turns; a result of learning names its seeds.
Where nothing else is said, the machine was one of two cores (AMD EPYC, a virtual machine) with torch 2.13 for the CPU,
and times by the clock differ with what else it did. What a file alone does not say stands in the guides.

| command | what for |
|---|---|
"""


def page(folder: Path) -> str:
    """Return the page.

    Args:
        folder: of results: Markdown, or csv that begins with a comment of its command.
    """
    commands = sorted((folder.parent).glob("*.py"))
    rows = [
        f"| `python benchmarks/{file.name}` | {purpose} |"
        for file in commands
        if (purpose := _purpose(file))
    ]
    parts = [INTRODUCTION + "\n".join(rows) + "\n"]
    for file in sorted(folder.iterdir()):
        body = _of_csv(file) if file.suffix == ".csv" else _of_markdown(file)
        parts.append(f"## {file.name} {{ #{file.stem} }}\n\n{body}\n")
    return "\n".join(parts)


def _purpose(file: Path) -> str:
    """Return the first paragraph of a benchmark's docstring; nothing of a module that is no command."""
    tree = ast.parse(file.read_text())
    is_command = any(
        isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body
    )
    return (
        " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split()) if is_command else ""
    )


def _of_markdown(file: Path) -> str:
    """Return a page's text below its title, which becomes a sentence."""
    text = file.read_text().strip()
    title, _, rest = text.partition("\n")
    return f"{title[2:]}.\n\n{rest.strip()}\n" if title.startswith("# ") else f"{text}\n"


def _of_csv(file: Path) -> str:
    """Return the command that a file names, and its rows as a table."""
    first, *lines = file.read_text().splitlines()
    command, remarks = re.fullmatch(r"# (.*?)\s*((?:\s\s\(.*\))*)", first).groups()
    header, *rows = csv.reader(lines)
    table = [
        _line(header),
        _line("---" for _ in header),
        *(_line(_short(cell) for cell in row) for row in rows),
    ]
    said = f"`{command}`{' ' + ' '.join(remarks.split()) if remarks else ''}\n\n"
    if len(rows) <= SHOWN:
        return said + "\n".join(table) + "\n"
    folded = "\n".join(f"    {line}" for line in table)
    return f'{said}??? note "{len(rows)} rows"\n\n{folded}\n'


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _short(cell: str) -> str:
    """Return a number with four significant digits; anything else as it is."""
    return f"{float(cell):.4g}" if re.fullmatch(r"-?\d+\.\d{4,}(e-?\d+)?", cell) else cell
