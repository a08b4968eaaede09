"""A buffer that begins with a recording holds its transitions, and those alone."""

from dataclasses import replace

import numpy as np
import pytest

from poke.data import trajectories
from poke.data.files.described import DataError, described
from poke.data.files.steps import Trajectories
from poke.data.replay import Replay
from poke.data.trajectories import Finals
from poke.spaces import ActionSpace, ObservationNormalizer, ObservationSpace

from .scripted import CHOICES, SEEN, Chance, Environment, assert_are, expected, held, replaying


def recorded(path, *, seed=0, masked=False, n_episodes=40):
    """What scripted environments played, as a file; and its episodes."""
    source = replaying(at_once=False, masked=masked, seed=seed, train_freq=10)
    while len(source.environments.past) < n_episodes:
        source.sample()
    episodes = source.environments.past
    rows = [d for decisions, _, _ in episodes for d in decisions]
    lengths = [len(decisions) for decisions, _, _ in episodes]
    last = np.cumsum(lengths) - 1
    ended = np.array([kind for _, kind, _ in episodes])
    flags = {kind: np.zeros(len(rows), bool) for kind in ("terminated", "truncated")}
    for kind, flag in flags.items():
        flag[last[ended == kind]] = True
    cut = [k for k, kind in enumerate(ended) if kind == "truncated"]
    finals = Finals(
        last[cut],
        np.stack([episodes[k][2]["observation"] for k in cut]),
        np.stack([episodes[k][2]["action_mask"] for k in cut]) if masked else None,
    )
    nothing = np.zeros(len(rows), np.int8)
    data = Trajectories(
        observation=np.stack([d["observation"] for d in rows]),
        action=np.array([d["action"] for d in rows]),
        action_mask=np.stack([d["action_mask"] for d in rows]) if masked else None,
        reward=np.array([d["reward"] for d in rows], np.float32),
        **flags,
        episode=np.repeat(np.arange(len(episodes)), lengths),
        player=nothing,
        timestep=np.concatenate([np.arange(length) for length in lengths]).astype(np.int32),
        outcome=nothing,
        metadata=described(SEEN, CHOICES),
        finals=finals,
    )
    trajectories.write(path, data)
    return data, episodes


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n_step", [1, 3])
def test_it_begins_with_the_transitions_of_the_recording(tmp_path, masked, n_step):
    path = str(tmp_path / "a.parquet")
    data, episodes = recorded(path, masked=masked)
    source = replaying(fill=path, masked=masked, n_step=n_step)
    truth = expected(episodes, n_step)
    counts = assert_are(held(source), truth)
    assert counts.keys() == truth.keys()
    assert len(truth) == len(data)
    assert (source.fingerprint.source, source.fingerprint.rows) == (path, len(data))
    experience = source.sample()  # it may learn at once
    assert experience.num_minibatches == 1
    assert_are(
        next(iter(experience.minibatches)),
        {**truth, **expected(source.environments.episodes(), n_step)},
    )


def test_where_nobody_knows_what_was_seen_at_the_end_the_last_decisions_are_left_out(tmp_path):
    path = str(tmp_path / "a.parquet")
    data, episodes = recorded(path)
    trajectories.write(path, replace(data, finals=None))
    source = replaying(fill=path)
    cut = [decisions[-1] for decisions, kind, _ in episodes if kind == "truncated"]
    seen = set(held(source).observation[:, 0].tolist())
    assert seen == {*data.observation[:, 0].tolist()} - {d["observation"][0] for d in cut}


def test_of_what_does_not_fit_the_last_is_kept_and_priorities_are_those_of_what_is_new(
    tmp_path, caplog
):
    path = str(tmp_path / "a.parquet")
    data, _ = recorded(path)
    source = replaying(fill=path, capacity=50, alpha=0.6)
    assert sorted(held(source).observation[:, 0].tolist()) == sorted(data.observation[-50:, 0])
    assert source.get_state()["drawing"]["priority"].tolist() == [1.0] * 50
    assert f"has {len(data)} transitions, of which data.capacity=50 keeps the last" in caplog.text


def test_a_restored_buffer_is_the_saved_one_and_not_filled_again(tmp_path):
    path = str(tmp_path / "a.parquet")
    recorded(path)
    source = replaying(fill=path, train_freq=20)
    source.sample()
    other = replaying(fill=path, train_freq=20)
    other.set_state(source.get_state())
    assert len(other._ring) == len(source._ring)
    assert held(other).observation.equal(held(source).observation)


def test_the_normaliser_learns_of_the_recording(tmp_path):
    path = str(tmp_path / "a.parquet")
    data, _ = recorded(path)
    normalizer = ObservationNormalizer(SEEN, 10.0)
    replaying(Chance(normalizer), fill=path)
    np.testing.assert_allclose(normalizer.moments.mean, data.observation.mean(axis=0), rtol=1e-3)
    assert normalizer.moments.count == pytest.approx(len(data), rel=1e-3)


def test_continuous_actions_are_the_policys_own(tmp_path):
    path = str(tmp_path / "a.parquet")
    data, _ = recorded(path)
    recording = ActionSpace.continuous_box((2,), -2, 4)
    action = np.random.default_rng(0).uniform(-2, 4, (len(data), 2)).astype(np.float32)
    about = described(SEEN, recording)
    trajectories.write(path, replace(data, action=action, metadata=about))
    environment = Environment()
    environment.action_space = replace(recording, bounds="squash")
    source = Replay(environment, capacity=1000, batch_size=8, fill=path)
    own = held(source).action.numpy()
    np.testing.assert_allclose(environment.action_space.to_environment(own), action, atol=1e-4)


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"observation_space": ObservationSpace.box((3,))}, r"data\.fill has observations of float32 \[2\]"),
        ({"action_space": ActionSpace.discrete(5)}, r"data\.fill has actions of one of 4"),
        ({"masked": True}, "one has action masks and the other has none"),
        ({"fill": "nowhere.parquet"}, r"nowhere\.parquet: no such file"),
        ({"fill": []}, r"data\.fill=\[\] names no file"),
        ({"observation_space": replace(SEEN, layout={"version": 2})}, "is in another layout of observations"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_environment_is_refused_in_one_line(tmp_path, other, line):
    path = str(tmp_path / "a.parquet")
    recorded(path)
    environment = Environment(masked=other.get("masked", False))
    for name in ("observation_space", "action_space"):
        setattr(environment, name, other.get(name, getattr(environment, name)))
    with pytest.raises(DataError, match=line) as caught:
        Replay(environment, capacity=100, batch_size=8, fill=other.get("fill", path))
    assert "\n" not in str(caught.value)
