"""Recorded transitions are what episodes say they are, whatever those are like."""

import copy
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poke.data import trajectories
from poke.data.files.described import DataError
from poke.data.transitions import RecordedTransitions
from poke.spaces import ObservationNormalizer

from .episodes import drawn, expected


def source(data, **options):
    values = {"batch_size": 16, "val_fraction": 0.2, "gamma": 0.9, "seed": 1, **options}
    return RecordedTransitions(data, **values)


def attached(made):
    policy = SimpleNamespace(normalizer=None, initial_state=lambda size: None)
    made.attach(SimpleNamespace(policy=policy))
    return made


def parts(made, updates):
    return [part for _ in range(updates) for part in made.sample().minibatches]


def check(data, part, n_step):
    for i, row in enumerate(part.observation[:, 0].int().tolist()):
        told = expected(data, row, n_step, 0.9)
        assert told is not None, f"nobody knows what row {row} led to"
        assert part.action[i] == data.action[row] != -1
        assert part.length[i] == told["length"]
        wanted = [*told["reward"], *[0.0] * (n_step - told["length"])]
        np.testing.assert_array_equal(part.reward[i].numpy(), np.float32(wanted))
        np.testing.assert_allclose(part.return_[i], told["return_"], rtol=1e-5, atol=1e-6)
        assert bool(part.terminated[i]) == told["terminated"]
        if data.action_mask is not None:
            np.testing.assert_array_equal(part.action_mask[i].numpy(), data.action_mask[row])
            assert part.next_action_mask[i].any()
        if not told["terminated"]:
            np.testing.assert_array_equal(part.next_observation[i].numpy(), told["next"])
            if data.action_mask is not None:
                np.testing.assert_array_equal(part.next_action_mask[i].numpy(), told["mask"])
        assert bool(part.next_chosen[i]) == (told["action"] is not None)
        if told["action"] is not None:
            assert part.next_action[i] == told["action"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_step", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "kind", [{}, {"masked": False}, {"finals": False}, {"unknown": True, "num_episodes": 12}]
)
def test_a_transition_is_what_its_episode_says(seed, n_step, kind):
    data = drawn(seed, **kind)
    before = copy.deepcopy(data)
    made = attached(source(data, n_step=n_step))
    rounds = made.num_training // 16
    seen = parts(made, rounds)
    for part in [*seen, *made.validation_transitions(50)]:
        check(before, part, n_step)
    rows = torch.cat([part.rows for part in seen])
    assert len(rows.unique()) == len(rows)  # an epoch serves each once


def test_every_transition_that_is_known_is_served_on_one_side():
    data = drawn(7)
    made = attached(source(data, batch_size=1))
    known = {row for row in range(len(data)) if expected(data, row, 1, 0.9) is not None}
    trained = {int(p.observation[0, 0]) for p in parts(made, made.num_training)}
    held_out = {int(row) for p in made.validation_transitions(50) for row in p.observation[:, 0]}
    assert trained | held_out == known
    assert not trained & held_out


def test_what_is_not_known_is_said(caplog):
    with caplog.at_level(logging.WARNING, "poke"):
        source(drawn(0, finals=False))
    assert "it is not known what they led to" in caplog.text


def test_finals_survive_files_joining_and_choosing(tmp_path):
    data = drawn(3)
    for name in ("a.parquet", "b.parquet"):
        trajectories.write(tmp_path / name, data)
    again = trajectories.read(tmp_path / "a.parquet")
    np.testing.assert_array_equal(again.finals.rows, data.finals.rows)
    np.testing.assert_array_equal(again.finals.observation, data.finals.observation)
    np.testing.assert_array_equal(again.finals.action_mask, data.finals.action_mask)
    some = data.select(data.episode >= 10)
    shift = int((data.episode < 10).sum())
    wanted = data.finals.rows[data.finals.rows >= shift] - shift
    np.testing.assert_array_equal(some.finals.rows, wanted)
    whole = tmp_path / "whole.parquet"
    trajectories.join(whole, [tmp_path / "a.parquet", tmp_path / "b.parquet"], data.metadata)
    joined = trajectories.read(whole)
    twice = np.concatenate([data.finals.rows, data.finals.rows + len(data)])
    np.testing.assert_array_equal(joined.finals.rows, twice)
    both = source([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")])
    alone = source(str(tmp_path / "a.parquet"))
    assert both.num_training == 2 * alone.num_training


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"rows": lambda f: f.rows[::-1]}, "final_rows are not the rows"),
        ({"rows": lambda f: f.rows * 0}, "final_rows are not the rows"),
        ({"observation": lambda f: f.observation[:-1]}, "final_observation has shape"),
        ({"observation": lambda f: f.observation * np.nan}, "final_observation is not finite"),
        ({"action_mask": lambda f: None}, "action_mask and final_action_mask go together"),
        ({"action_mask": lambda f: f.action_mask & False}, "forbids every action"),
    ],
)
def test_finals_that_cannot_be_are_refused(changes, fault, tmp_path):
    from dataclasses import replace

    data = drawn(3)
    spoiled = {name: change(data.finals) for name, change in changes.items()}
    with pytest.raises(DataError, match=fault):
        trajectories.write(
            tmp_path / "a.parquet", replace(data, finals=replace(data.finals, **spoiled))
        )


def test_a_restored_source_goes_on_to_the_same_batches():
    made = attached(source(drawn(1)))
    parts(made, 7)
    state = copy.deepcopy(made.get_state())
    wanted = [part.rows for part in parts(made, 30)]
    other = attached(source(drawn(1)))
    other.set_state(state)
    assert all(torch.equal(a, b.rows) for a, b in zip(wanted, parts(other, 30), strict=True))


def test_drawing_leaves_the_epoch_alone():
    made, other = attached(source(drawn(1))), attached(source(drawn(1)))
    drawn_part = made.draw(1000, torch.Generator().manual_seed(0))
    check(drawn(1), drawn_part, 1)
    assert torch.equal(made.sample().minibatches[0].rows, other.sample().minibatches[0].rows)
    again = other.draw(1000, torch.Generator().manual_seed(0))
    assert torch.equal(drawn_part.rows, again.rows)


def test_observations_are_normalised_by_what_is_trained_on():
    data = drawn(2)
    made = source(data, normalize_observation=True, batch_size=10_000)
    normalizer = ObservationNormalizer(made.observation_space, made.observation_clip)
    policy = SimpleNamespace(normalizer=normalizer, initial_state=lambda size: None)
    made.attach(SimpleNamespace(policy=policy))
    part = made.sample().minibatches[0]
    assert abs(float(part.observation.mean())) < 1e-3
    assert abs(float(part.observation.std()) - 1) < 0.05
    held_out = torch.cat([p.observation for p in made.validation_batches(64)])
    raw = drawn(2).observation
    wanted = normalizer(raw[np.isin(raw[:, 0], raw[made._validation.numpy(), 0])])
    np.testing.assert_allclose(held_out.numpy(), wanted, rtol=1e-5)


def test_a_memory_is_refused():
    policy = SimpleNamespace(normalizer=None, initial_state=lambda size: object())
    with pytest.raises(DataError, match=r"leave out network\.memory"):
        source(drawn(0)).attach(SimpleNamespace(policy=policy))
