"""What becomes of the keys that are logged: names, and how a name's samples are summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

RESERVED_NAMES = frozenset(("step", "time", "epoch"))


class Naming(dict[Any, "tuple[str, str] | None"]):
    """A category's keys to their names and reductions, None for those that are left out.

    Args:
        category: the category.
        reduce: patterns of `category/name` or name to reductions; the first that fits decides.
        refuse: told once of every name that is left out, and why.
    """

    def __init__(
        self, category: str, reduce: Mapping[str, str], refuse: Callable[[str, str], None]
    ) -> None:
        super().__init__()
        self._category = category
        self._reduce = reduce
        self.refuse = refuse

    def __missing__(self, key: Any) -> tuple[str, str] | None:
        self[key] = found = self._find(printable(str(key)))
        return found

    def _find(self, name: str) -> tuple[str, str] | None:
        if not name or name in RESERVED_NAMES:
            self.refuse(name, "the name is reserved" if name else "the name is empty")
            return None
        full = f"{self._category}/{name}"
        for pattern, how in self._reduce.items():
            if fnmatchcase(full, pattern) or fnmatchcase(name, pattern):
                return name, how
        return name, "mean"


def printable(name: str) -> str:
    """Return the name with whatever UTF-8 cannot hold written out."""
    return name.encode("utf-8", "backslashreplace").decode()
