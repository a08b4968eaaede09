import errno
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from poke.config.schema import PLAYERS
from poke.data import trajectories
from poke.data.trajectories import DataError
from poke.envs.showdown import layout
from poke.envs.showdown.battles.environment import spaces
from poke.envs.showdown.decoding import ObservationError, check_ranges
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.names import SCRIPTED, BattleError
from poke.envs.showdown.recording import Recorder, recorder, store
from poke.envs.showdown.server.scripted import OPPONENTS
from poke.policies.policy import Choice, Memory
from poke.record import main

from .simulated import ScriptedWorkers, Turn

FOES = ["simple_heuristics", "random"]


def record_of(**changes):
    setup = {
        "format": "gen1randombattle",
        "experts": {"simple_heuristics": 1.0},
        "opponents": FOES,
        "seed": 0,
        "concurrency": 4,
    }
    return Recorder(**{**setup, **changes})


def ignore(progress):
    pass


class Played(ScriptedWorkers):
    """Battles of a script: the first seat decides in every turn, the second in the first alone."""

    turns = (Turn(), Turn(asked=(0,)), Turn(asked=(0,)))
    begun = None  # seeds of the battles that began, over all of them
    lose = 0  # how many exchanges lose every battle that is under way

    def __init__(self, battle_format, *, num_battles, **_):
        super().__init__(type(self).turns, num_battles, num_actions=10)

    def begin(self, starts):
        for start in starts:
            self.begun.append(start.seed)
        super().begin(starts)

    def exchange(self, **how):
        if type(self).lose and self._battles:
            type(self).lose -= 1
            self.lose_now = tuple(self._battles)
        return super().exchange(**how)


@pytest.fixture
def played(monkeypatch):
    """Replace the workers by a script's; return the seeds of the battles that began."""
    seeds = []
    monkeypatch.setattr(Played, "begun", seeds)
    monkeypatch.setattr(recorder, "BattleWorkers", Played)
    return seeds


def test_the_experts_decisions_become_one_file(tmp_path, played):
    out = tmp_path / "new" / "t.parquet"
    assert record_of().record(out, 4, on_progress=ignore)
    data = trajectories.read(out)
    # Battles 0 and 2 are against the expert itself: both sides. Against random it sits in p1's seat, then in p2's.
    assert data.num_episodes == 4
    assert data.episode.tolist() == [0] * 4 + [1] * 3 + [2] * 4 + [3]
    assert data.player.tolist() == [0, 0, 0, 1] + [0] * 3 + [0, 0, 0, 1] + [1]
    assert data.timestep.tolist() == [0, 1, 2, 0, 0, 1, 2, 0, 1, 2, 0, 0]
    assert data.outcome.tolist() == (1 - 2 * data.player).tolist()
    assert data.terminated.sum() == 6
    assert np.array_equal(data.reward, np.where(data.terminated, data.outcome, 0))
    assert data.observation[:4, :2].tolist() == [[0, 0], [1, 0], [2, 0], [0, 1]]
    assert (data.action == 0).all()
    assert data.action_mask.all()
    about = data.metadata
    counts = ("battles", "decisions", "won", "drawn", "lost", "refused")
    assert about["results"] == {
        "simple_heuristics": {
            "simple_heuristics": dict(zip(counts, (4, 8, 2, 0, 2, 0), strict=True)),
            "random": dict(zip(counts, (2, 4, 1, 0, 1, 0), strict=True)),
        }
    }
    assert (about["battles"], about["experts"]) == ([0, 4], {"simple_heuristics": 1.0})
    assert names(data) == ["simple_heuristics"] * 12
    assert about["layout"] == layout.describe(1)
    assert [p.name for p in out.parent.iterdir()] == ["t.parquet"]


def names(data):
    return [data.metadata["agents"][number] for number in data.agent]


def test_a_mixture_has_its_shares_and_every_row_says_who_decided(tmp_path, played):
    out = tmp_path / "t.parquet"
    mixture = {"max_base_power": 0.25, "simple_heuristics": 0.75}
    record_of(experts=mixture, opponents=["random"]).record(out, 40, on_progress=ignore)
    data = trajectories.read(out)
    first = np.flatnonzero(data.timestep == 0)
    who = [names(data)[row] for row in first]
    assert sorted({*who}) == sorted(mixture)
    assert 8 <= who.count("max_base_power") <= 12
    shown = pq.read_table(out, columns=["agent"]).column(0).to_pylist()
    assert shown == names(data)


def test_both_sides_are_recorded_when_asked_for(tmp_path, played):
    out = tmp_path / "t.parquet"
    record_of(opponents=["random"], both_sides=True).record(out, 2, on_progress=ignore)
    data = trajectories.read(out)
    # The expert sits in p1's seat, then in p2's; p1 decides three times, p2 once.
    assert data.player.tolist() == [0, 0, 0, 1] * 2
    assert names(data) == [*["simple_heuristics"] * 3, *["random"] * 4, "simple_heuristics"]
    results = data.metadata["results"]
    assert results["random"]["simple_heuristics"]["won"] == 1
    assert results["simple_heuristics"]["random"]["won"] == 1


class Second:
    """A policy that takes the second legal action, and the next one at each later decision of a battle."""

    def __init__(self, weight=1.0):
        self.observation_space, self.action_space = spaces("gen1randombattle")
        self.weight = torch.tensor([weight])

    def initial_state(self):
        return Memory(np.zeros((1, 1), np.float32))

    def choose(self, observation, *, action_mask, state):
        state.values = state.values + 1
        assert observation.shape == (1, layout.SIZE)
        legal = np.flatnonzero(action_mask[0])
        return Choice(legal[[int(state.values[0, 0])]], None, None, None)

    def get_state(self):
        return {"network": {"weight": self.weight}, "normalizer": None}


def test_a_policy_is_recorded_battle_by_battle_however_many_at_a_time(tmp_path, played):
    files = []
    for concurrency in (1, 5):
        files.append(tmp_path / f"{concurrency}.parquet")
        one = record_of(
            experts={"runs/mine": 1.0},
            opponents=["random", "runs/mine"],
            concurrency=concurrency,
            load=lambda place: Second(),
        )
        one.record(files[-1], 6, on_progress=ignore)
    data = trajectories.read(files[0])
    assert (
        data.action.tolist() == (data.timestep + 1).tolist()
    )  # it remembers its own seat's battle
    assert {*names(data)} == {"runs/mine"}
    assert list(data.metadata["policies"]) == ["runs/mine"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_policy_that_has_become_another_is_not_mixed_in(tmp_path, played):
    out = tmp_path / "t.parquet"

    def record(weight, battles):
        one = record_of(experts={"runs/mine": 1.0}, load=lambda place: Second(weight))
        one.record(out, battles, on_progress=ignore)

    record(1.0, 2)
    record(1.0, 4)
    with pytest.raises(DataError, match=r"another recording \(its policies differs\)"):
        record(2.0, 6)


def test_a_policy_of_another_game_is_refused(tmp_path, played):
    class Other(Second):
        def __init__(self):
            self.observation_space, self.action_space = spaces("gen9randombattle")

    with pytest.raises(BattleError, match=r"runs/mine is of generation 9"):
        record_of(experts={"runs/mine": 1.0}, load=lambda place: Other())


def test_a_refused_choice_after_which_only_one_is_left_is_not_recorded(
    tmp_path, played, monkeypatch
):
    class Few(Played):
        def __init__(self, *args, **how):
            super().__init__(*args, **how)
            self._all = 0b11

    monkeypatch.setattr(recorder, "BattleWorkers", Few)
    monkeypatch.setattr(Played, "turns", (Turn(refused=((0, 0),)), Turn()))
    record_of(opponents=["random"]).record(tmp_path / "t.parquet", 1, on_progress=ignore)
    data = trajectories.read(tmp_path / "t.parquet")
    assert data.observation[:, 0].tolist() == [1]  # the turn; the first one's was refused
    counted = data.metadata["results"]["simple_heuristics"]["random"]
    assert (counted["decisions"], counted["refused"]) == (1, 1)


def test_a_refused_choice_is_not_recorded(tmp_path, played, monkeypatch):
    monkeypatch.setattr(Played, "turns", (Turn(refused=((0, 0),)), Turn()))
    record_of(opponents=["random"]).record(tmp_path / "t.parquet", 1, on_progress=ignore)
    data = trajectories.read(tmp_path / "t.parquet")
    assert data.action.tolist() == [1, 0]
    assert data.action_mask[0].tolist() == [False] + [True] * 9


def test_a_side_that_decides_nothing_is_not_recorded(tmp_path, played, monkeypatch):
    monkeypatch.setattr(Played, "turns", (Turn(asked=(0,)),))
    record_of(opponents=["simple_heuristics"]).record(tmp_path / "t.parquet", 2, on_progress=ignore)
    data = trajectories.read(tmp_path / "t.parquet")
    assert (data.player.tolist(), data.num_episodes) == ([0, 0], 2)


def test_the_same_command_again_plays_nothing(tmp_path, played):
    out = tmp_path / "t.parquet"
    record_of().record(out, 4, on_progress=ignore)
    before = out.read_bytes()
    assert record_of().record(out, 4, on_progress=ignore)
    assert record_of().record(out, 3, on_progress=ignore)
    assert len(played) == 4
    assert out.read_bytes() == before


def stopping_at(battles, one):
    def stop(progress):
        if progress.battles >= battles:
            one.stop()

    return stop


def test_the_file_is_the_same_however_it_came_about(tmp_path, played, monkeypatch):
    monkeypatch.setattr(store, "_BATTLES_A_PART", 4)
    at_once, stopped, grown = (tmp_path / f"{name}.parquet" for name in ("a", "b", "c"))
    assert record_of(concurrency=1).record(at_once, 19, on_progress=ignore)
    for battles in (3, 4, 11):
        one = record_of(concurrency=3)
        assert not one.record(stopped, 19, on_progress=stopping_at(battles, one))
        assert not stopped.exists()
    seen = []
    assert record_of().record(stopped, 19, on_progress=lambda now: seen.append(now.battles))
    assert 4 < seen[0] < 19
    assert seen == list(range(seen[0], 20))
    for battles in (2, 7, 19):
        assert record_of().record(grown, battles, on_progress=ignore)
        assert trajectories.read(grown).metadata["battles"] == [0, battles]
    assert at_once.read_bytes() == stopped.read_bytes() == grown.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "c.parquet"]


def test_every_battle_has_seeds_of_its_own_and_every_recording_too(tmp_path, played):
    record_of().record(tmp_path / "a.parquet", 6, on_progress=ignore)
    record_of(seed=1).record(tmp_path / "b.parquet", 6, on_progress=ignore)
    assert len({seed for seeds in played for seed in seeds}) == 12 * 4


def test_a_stop_before_the_start_plays_nothing(tmp_path, played):
    one = record_of()
    one.stop()
    assert not one.record(tmp_path / "t.parquet", 500, on_progress=ignore)
    assert not list(tmp_path.iterdir())


def test_parts_are_written_along_the_way(tmp_path, played, monkeypatch):
    monkeypatch.setattr(store, "_BATTLES_A_PART", 3)
    parts = set()

    def look(progress):
        parts.update(p.name for p in (tmp_path / "t.parquet.parts").glob("part-*"))

    record_of().record(tmp_path / "t.parquet", 7, on_progress=look)
    assert parts == {"part-00000000.parquet", "part-00000003.parquet"}
    assert trajectories.read(tmp_path / "t.parquet").num_episodes == 7


@pytest.mark.parametrize("failing", range(5))
def test_a_full_disk_costs_one_line_and_nothing_that_was_written(
    tmp_path, played, monkeypatch, capsys, failing
):
    monkeypatch.setattr(store, "_BATTLES_A_PART", 3)
    monkeypatch.chdir(tmp_path)
    command = ["battles=10", "expert=random", "opponents=[random]"]
    assert main([*command, "out=whole.parquet"]) == 0
    written = []

    def write(path, *args):
        written.append(path)
        if len(written) > failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(path, *args)

    whole = trajectories._write_tables
    with monkeypatch.context() as full:
        full.setattr(trajectories, "_write_tables", write)
        assert main([*command, "out=t.parquet"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "poke: t.parquet cannot be written: No space left on device; "
        "what is there is kept: the same command goes on from there"
    )
    assert len(list(tmp_path.glob("t.parquet.parts/part-*"))) == failing
    assert main([*command, "out=t.parquet"]) == 0
    assert (tmp_path / "t.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_parts_left_over_by_a_stop_after_joining_count_once(tmp_path, played, monkeypatch):
    out = tmp_path / "t.parquet"
    with monkeypatch.context() as killed:
        killed.setattr(store.Path, "unlink", lambda *_, **__: None)
        record_of().record(out, 4, on_progress=ignore)
    assert (tmp_path / "t.parquet.parts").exists()
    assert record_of().record(out, 6, on_progress=ignore)
    data = trajectories.read(out)
    assert (data.num_episodes, data.metadata["battles"]) == (6, [0, 6])
    assert data.metadata["results"]["simple_heuristics"]["random"]["battles"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("experts", {"random": 1.0}),
        ("format", "gen9randombattle"),
        ("opponents", ["random"]),
        ("seed", 1),
    ],
)
def test_another_recording_is_not_mixed_in(tmp_path, played, key, other):
    out = tmp_path / "t.parquet"
    record_of().record(out, 2, on_progress=ignore)
    differs = {"format": "observation|action|layout", "opponents": "opponents|agents"}.get(key, key)
    with pytest.raises(DataError, match=rf"holds another recording \(its ({differs}) differs\)"):
        record_of(**{key: other}).record(out, 4, on_progress=ignore)


def test_a_recording_of_an_older_layout_is_not_added_to(tmp_path, played):
    out = tmp_path / "t.parquet"
    record_of().record(out, 2, on_progress=ignore)
    data = trajectories.read(out)
    data.metadata["layout"]["version"] = 1
    trajectories.write(out, data)
    with pytest.raises(DataError, match=r"holds another recording \(its layout differs\)"):
        record_of().record(out, 4, on_progress=ignore)


def test_a_file_that_is_no_recording_is_not_added_to(tmp_path, played):
    out = tmp_path / "t.parquet"
    record_of().record(out, 2, on_progress=ignore)
    data = trajectories.read(out)
    del data.metadata["battles"]
    trajectories.write(out, data)
    with pytest.raises(DataError, match="does not say which battles it holds"):
        record_of().record(out, 4, on_progress=ignore)


def test_two_processes_do_not_record_one_file(tmp_path, played):
    refused = []

    def try_too(progress):
        with pytest.raises(DataError, match="is being recorded by another process") as error:
            record_of().record(tmp_path / "t.parquet", 4, on_progress=ignore)
        refused.append(error)

    assert record_of().record(tmp_path / "t.parquet", 2, on_progress=try_too)
    assert refused
    assert len(played) == 2


def test_battles_that_are_lost_with_a_worker_are_played_again(tmp_path, played, monkeypatch):
    monkeypatch.setattr(Played, "lose", 2)
    progress = []
    assert record_of(concurrency=2).record(tmp_path / "a.parquet", 4, on_progress=progress.append)
    assert progress[-1].dropped == 4
    assert len(played) == 8
    record_of().record(tmp_path / "b.parquet", 4, on_progress=ignore)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_battle_that_is_lost_again_and_again_ends_the_recording(tmp_path, played, monkeypatch):
    monkeypatch.setattr(Played, "lose", 1000)
    with pytest.raises(ShowdownError, match="battle 0 was lost 3 times"):
        record_of(concurrency=1).record(tmp_path / "t.parquet", 4, on_progress=ignore)


def test_what_no_observation_can_hold_is_not_recorded(tmp_path, played, monkeypatch):
    def broken(self, **how):
        records = ScriptedWorkers.exchange(self, **how)
        records["observation"][:, 0] = -1
        return records

    monkeypatch.setattr(Played, "exchange", broken)
    with pytest.raises(ObservationError, match=r"global\.turn has byte -1, not 0 to 127"):
        record_of().record(tmp_path / "t.parquet", 1, on_progress=ignore)


def test_unknown_players_and_formats_are_refused():
    with pytest.raises(ValueError, match=r"no player anyone \(choose from "):
        record_of(opponents=["random", "anyone"])
    with pytest.raises(ValueError, match="doubles"):
        record_of(format="gen9randomdoublesbattle")
    assert set(PLAYERS) == set(SCRIPTED) == set(OPPONENTS)


@pytest.mark.showdown
@pytest.mark.slow
def test_real_battles_come_out_the_same_whatever_plays_them(installed, tmp_path):
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    assert record_of(concurrency=6).record(one, 6, on_progress=ignore)
    stopped = record_of(concurrency=2, num_workers=2, accelerate=False)
    stopped.record(other, 6, on_progress=stopping_at(3, stopped))
    assert record_of(num_workers=2).record(other, 6, on_progress=ignore)
    assert one.read_bytes() == other.read_bytes()
    data = trajectories.read(one)
    assert data.action_mask[np.arange(len(data)), data.action].all()
    assert (data.action_mask.sum(axis=1) > 1).all(), "who has no choice decides nothing"
    assert data.terminated.sum() == 9
    check_ranges(data.observation, data.metadata["layout"])
