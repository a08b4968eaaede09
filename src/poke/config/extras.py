"""The line that says what to install where an extra of pyproject.toml is missing. Imports nothing of it."""

from __future__ import annotations

import importlib.util

from poke.config.knobs import ConfigError


def need(what: str, module: str, extra: str) -> None:
    """Check that a module can be imported.

    Args:
        what: needs it, as the user wrote it.
        module: its name.
        extra: of pyproject.toml, which has it.

    Raises:
        ConfigError: it cannot.
    """
    if importlib.util.find_spec(module) is None:
        raise ConfigError(f"{what} needs {module}: pip install 'poke[{extra}]'")
