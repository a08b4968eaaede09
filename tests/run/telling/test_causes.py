import pytest

from poke.config.knobs import ConfigError
from poke.run.telling.causes import cause_of


class OutOfMemoryError(RuntimeError):
    """As torch has one."""


def raised_from(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(28, "No space left on device"), "outside"),
        (FileNotFoundError("x"), "outside"),
        (ConnectionResetError(), "outside"),
        (TimeoutError(), "outside"),
        (MemoryError(), "outside"),
        (EOFError(), "outside"),
        (OutOfMemoryError("CUDA out of memory"), "outside"),
        (raised_from(RuntimeError("cannot be saved"), OSError(5, "EIO")), "outside"),
        (ConfigError("x"), "own"),
        (ValueError("x"), "own"),
        (RuntimeError("shapes"), "own"),
        (FloatingPointError("x"), "own"),
        (AssertionError(), "own"),
        (raised_from(RuntimeError("x"), KeyError("y")), "own"),
    ],
    ids=repr,
)
def test_whose_doing_it_was(error, cause):
    assert cause_of(error) == cause
