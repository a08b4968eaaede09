import asyncio
import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from poke.envs.showdown.arena import Side
from poke.envs.showdown.players import POLICIES, Decision

from poke.data import trajectories
from poke.data.trajectories import DataError
from poke.envs.showdown import layout, recording
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.recording import Recorder

OPPONENTS = ["simple_heuristics", "random"]


def recorder(**changes):
    setup = {
        "format": "gen1randombattle",
        "expert": "simple_heuristics",
        "opponents": OPPONENTS,
        "seed": 0,
        "concurrency": 4,
    }
    return Recorder(**{**setup, **changes})


def decision(number, step):
    observation = np.full(layout.SIZE, number % 100, dtype=np.int8)
    observation[0] = step
    return Decision(observation, np.eye(10, dtype=bool)[step], step)


@pytest.fixture
def played(monkeypatch):
    """Replace the server and the battles on it; return the numbers of the matches played."""
    numbers = []

    async def play(matches, *, on_result, on_fault, **_):
        for match in matches:
            numbers.append(match.number)
            sides = []
            for player, seat in enumerate(match.seats):
                length = 2 + match.number % 3 if seat.record else 0
                steps = [decision(match.number, step) for step in range(length)]
                sides.append(Side(player, steps, 1 - 2 * player))
            on_result(match, tuple(sides))
            await asyncio.sleep(0)

    server = contextlib.nullcontext(SimpleNamespace(websocket_url="ws://nowhere"))
    monkeypatch.setattr(recording, "ShowdownServer", lambda: server)
    monkeypatch.setattr(recording, "play", play)
    return numbers


def ignore(progress):
    pass


def test_the_experts_decisions_become_one_file(tmp_path, played):
    out = tmp_path / "new" / "t.parquet"
    assert recorder().record(out, 4, on_progress=ignore)
    data = trajectories.read(out)
    # battles 0 and 2 are against the expert itself: both sides; 1 and 3 against random: one
    assert data.num_episodes == 4
    assert len(data) == 2 * 2 + 3 + 2 * 4 + 2
    assert data.player.tolist() == [0, 0, 1, 1] + [0] * 3 + [0] * 4 + [1] * 4 + [0] * 2
    assert data.outcome.tolist() == (1 - 2 * data.player).tolist()
    assert data.terminated.sum() == 6
    assert np.array_equal(data.reward, np.where(data.terminated, data.outcome, 0))
    assert data.timestep[:7].tolist() == [0, 1, 0, 1, 0, 1, 2]
    assert data.observation[4, 1] == 1
    about = data.metadata
    assert about["results"]["random"] == {
        "battles": 2, "decisions": 5, "won": 2, "drawn": 0, "lost": 0,
    }  # fmt: skip
    assert about["results"]["simple_heuristics"]["battles"] == 2
    assert (about["battles"], about["expert"]) == ([[0, 4]], "simple_heuristics")
    assert about["layout"]["size"] == layout.SIZE
    assert [p.name for p in out.parent.iterdir()] == ["t.parquet"]


def test_the_same_command_again_plays_nothing(tmp_path, played):
    out = tmp_path / "t.parquet"
    recorder().record(out, 4, on_progress=ignore)
    before = out.read_bytes()
    assert recorder().record(out, 4, on_progress=ignore)
    assert recorder().record(out, 3, on_progress=ignore)
    assert played == [0, 1, 2, 3]
    assert out.read_bytes() == before


def test_a_finished_recording_grows(tmp_path, played):
    out = tmp_path / "t.parquet"
    recorder().record(out, 2, on_progress=ignore)
    assert recorder().record(out, 5, on_progress=ignore)
    assert played == [0, 1, 2, 3, 4]
    data = trajectories.read(out)
    assert (data.num_episodes, data.metadata["battles"]) == (5, [[0, 5]])
    assert data.metadata["results"]["random"]["battles"] == 2


def test_a_stopped_recording_goes_on(tmp_path, played):
    out = tmp_path / "t.parquet"
    one = recorder()
    progress = []

    def stop_at_three(now):
        progress.append(now.battles)
        if now.battles == 3:
            one.stop()

    assert not one.record(out, 50, on_progress=stop_at_three)
    assert not out.exists()
    kept = len(played)
    assert 3 <= kept < 10
    seen = []
    assert recorder().record(out, 50, on_progress=lambda now: seen.append(now.battles))
    assert seen[0] == kept
    assert sorted(played) == list(range(50))
    assert trajectories.read(out).num_episodes == 50
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_the_number_of_battles_is_exact_whichever_are_there(tmp_path, played, monkeypatch):
    out = tmp_path / "t.parquet"
    good = recording.play

    async def play(matches, **rest):
        await good(list(matches)[-1:], **rest)
        raise ShowdownError("stopped")

    with monkeypatch.context() as broken:
        broken.setattr(recording, "play", play)
        with pytest.raises(ShowdownError):
            recorder().record(out, 10, on_progress=ignore)
    recorder().record(out, 3, on_progress=ignore)
    assert played == [9, 0, 1]
    assert trajectories.read(out).metadata["battles"] == [[0, 2], [9, 10]]


def test_a_stop_before_the_start_plays_nothing(tmp_path, played):
    one = recorder()
    one.stop()
    assert not one.record(tmp_path / "t.parquet", 500, on_progress=ignore)
    assert len(played) < 5


def test_parts_are_written_along_the_way(tmp_path, played, monkeypatch):
    monkeypatch.setattr(recording, "_BATTLES_A_PART", 3)
    parts = set()

    def look(progress):
        parts.update(p.name for p in (tmp_path / "t.parquet.parts").glob("part-*"))

    recorder().record(tmp_path / "t.parquet", 7, on_progress=look)
    assert parts == {"part-00000000.parquet", "part-00000003.parquet"}
    assert trajectories.read(tmp_path / "t.parquet").num_episodes == 7


def test_parts_left_over_by_a_stop_after_joining_count_once(tmp_path, played, monkeypatch):
    out = tmp_path / "t.parquet"
    with monkeypatch.context() as killed:
        killed.setattr(recording.Path, "unlink", lambda *_, **__: None)
        recorder().record(out, 4, on_progress=ignore)
    assert (tmp_path / "t.parquet.parts").exists()
    assert recorder().record(out, 6, on_progress=ignore)
    data = trajectories.read(out)
    assert (data.num_episodes, data.metadata["battles"]) == (6, [[0, 6]])
    assert data.metadata["results"]["random"]["battles"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize(
    ("key", "other"),
    [("expert", "random"), ("format", "gen9randombattle"), ("opponents", ["random"]), ("seed", 1)],
)
def test_another_recording_is_not_mixed_in(tmp_path, played, key, other):
    out = tmp_path / "t.parquet"
    recorder().record(out, 2, on_progress=ignore)
    differs = "observation|action|layout" if key == "format" else key
    with pytest.raises(DataError, match=rf"holds another recording \(its ({differs}) differs\)"):
        recorder(**{key: other}).record(out, 4, on_progress=ignore)


def test_a_file_that_is_no_recording_is_not_added_to(tmp_path, played):
    out = tmp_path / "t.parquet"
    recorder().record(out, 2, on_progress=ignore)
    data = trajectories.read(out)
    del data.metadata["battles"]
    trajectories.write(out, data)
    with pytest.raises(DataError, match="does not say which battles it holds"):
        recorder().record(out, 4, on_progress=ignore)


def test_two_processes_do_not_record_one_file(tmp_path, played):
    refused = []

    def try_too(progress):
        with pytest.raises(DataError, match="is being recorded by another process") as error:
            recorder().record(tmp_path / "t.parquet", 4, on_progress=ignore)
        refused.append(error)

    assert recorder().record(tmp_path / "t.parquet", 2, on_progress=try_too)
    assert refused
    assert played == [0, 1]


def test_battles_that_keep_failing_end_the_recording(tmp_path, played, monkeypatch):
    async def play(matches, *, on_fault, **_):
        while True:
            on_fault(ValueError("bad luck"))

    monkeypatch.setattr(recording, "play", play)
    with pytest.raises(ShowdownError, match="too many battles fail: ValueError: bad luck"):
        recorder().record(tmp_path / "t.parquet", 4, on_progress=ignore)


def test_what_was_recorded_before_a_failure_is_kept(tmp_path, played, monkeypatch):
    good = recording.play

    async def play(matches, **rest):
        await good([next(matches), next(matches)], **rest)
        raise ShowdownError("a player's connection to the server is lost")

    monkeypatch.setattr(recording, "play", play)
    with pytest.raises(ShowdownError, match="connection"):
        recorder().record(tmp_path / "t.parquet", 4, on_progress=ignore)
    monkeypatch.setattr(recording, "play", good)
    recorder().record(tmp_path / "t.parquet", 4, on_progress=ignore)
    assert played == [0, 1, 2, 3]


def test_unknown_players_and_formats_are_refused():
    with pytest.raises(ValueError, match=r"no player anyone \(choose from simple_heuristics"):
        recorder(opponents=["random", "anyone"])
    with pytest.raises(ValueError, match="format must be genNrandombattle, not 'gen1ou'"):
        recorder(format="gen1ou")
    assert set(OPPONENTS) <= set(POLICIES)
