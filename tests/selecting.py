"""What `make test` meets of cases that take seconds each; `make test-slow` has the others."""

import pytest


def few(cases, *met):
    """Return cases for `parametrize`, all but these marked as slow."""
    assert set(met) <= set(cases)
    return [pytest.param(case, marks=() if case in met else pytest.mark.slow) for case in cases]
