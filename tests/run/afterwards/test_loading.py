import pytest
import torch

from poke.policies import loading
from poke.run.afterwards.loading import load
from poke.run.afterwards.playing.players import PlayingError, loaded


@pytest.mark.parametrize("load_it", [load, loaded])
def test_a_command_that_lets_a_policy_act_computes_by_one_thread(load_it, monkeypatch):
    def look(place, **how):
        raise ValueError(f"{torch.get_num_threads()} at {place}")

    monkeypatch.setattr(loading, "load", look)
    torch.set_num_threads(2)
    try:
        with pytest.raises((ValueError, PlayingError), match="1 at run"):
            load_it("run", checkpoint="best", trust=())
    finally:
        torch.set_num_threads(1)
