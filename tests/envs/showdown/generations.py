import pytest

# For tests that take seconds each. The first, one in the middle and the newest, with what the others have of rules.
MET_FIRST = (1, 4, 9)
GENERATIONS = [
    pytest.param(generation, marks=() if generation in MET_FIRST else pytest.mark.slow)
    for generation in range(1, 10)
]
