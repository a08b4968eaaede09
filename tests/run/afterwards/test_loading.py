import pytest
import torch

from poke.policies import loading
from poke.run.afterwards.league import playing as league
from poke.run.afterwards.loading import load
from poke.run.afterwards.playing.players import PlayingError, loaded


def player(run, *, checkpoint, trust):
    return league._player(run, "name", checkpoint, trust)


@pytest.mark.parametrize("load_it", [load, loaded, player])
def test_a_command_that_lets_a_policy_act_computes_by_one_thread(load_it, monkeypatch):
    def look(place, **how):
        raise ValueError(f"{torch.get_num_threads()} at {place}")

    monkeypatch.setattr(loading, "load", look)
    monkeypatch.setattr(league, "read", look)
    torch.set_num_threads(2)
    try:
        with pytest.raises((ValueError, PlayingError), match="1 at some/run"):
            load_it("some/run", checkpoint="best", trust=())
    finally:
        torch.set_num_threads(1)
