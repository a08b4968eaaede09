"""The worker's scripted players decide as poke-env's, which are asked the same."""

import pytest

from ...selecting import few
from .agreement import compare

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]


@pytest.mark.parametrize("generation", few(range(1, 10), 1, 9))
def test_players_decide_by_the_rules_of_poke_envs(generation):
    found = compare(f"gen{generation}randombattle", count=120, seed=generation)
    for agreement in found.values():
        assert agreement.positions > 40
        assert not agreement.unexplained
        assert agreement.seeing == agreement.positions
    # Where poke-env's own Battle sees otherwise it may decide otherwise; that is rare but for the own tera type.
    heuristics = found["simple_heuristics"]
    others = sum(n for why, n in heuristics.reasons.items() if why != "own tera type")
    assert others <= heuristics.positions / 10
