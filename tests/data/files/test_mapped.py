"""What is decoded into a folder is served as what is held in memory, to the bit."""

import os
import subprocess
import sys
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poke.data import trajectories
from poke.data.demonstrations import Demonstrations
from poke.data.files.described import DataError
from poke.data.transitions import RecordedTransitions
from poke.spaces import ObservationNormalizer

from ..transitions.episodes import drawn

KINDS = [{}, {"masked": False}, {"finals": False}, {"unknown": True, "num_episodes": 12}]
SOURCES = {
    "decisions": (Demonstrations, {}, None),
    "sequences": (Demonstrations, {"sequence_length": 3}, ()),
    "transitions": (RecordedTransitions, {"n_step": 3, "gamma": 0.9}, None),
    "normalised": (RecordedTransitions, {"normalize_observation": True}, None),
    "normalised sequences": (Demonstrations, {"normalize_observation": True}, ()),
}


def written(folder, kind, count=1):
    paths = [str(folder / f"{i}.parquet") for i in range(count)]
    for seed, path in enumerate(paths):
        data = drawn(seed, **kind)
        if data.marks is not None:  # some bits known, some filled, some neither
            rng = np.random.default_rng(seed)
            data.marks[...] = rng.integers(256, size=data.marks.shape)
        trajectories.write(path, data)
    return paths


def made(paths, kind, **options):
    source, more, memory = SOURCES[kind]
    whole = source(paths, batch_size=16, val_fraction=0.2, seed=1, **more, **options)
    clip = whole.observation_clip
    normalizer = clip and ObservationNormalizer(whole.observation_space, clip)
    policy = SimpleNamespace(normalizer=normalizer, initial_state=lambda size: memory)
    whole.attach(SimpleNamespace(policy=policy))
    return whole


def served(source, updates=60):
    """Everything it serves: training over several epochs, and what is held out."""
    for _ in range(updates):
        batch = source.sample()
        yield from getattr(batch, "minibatches", [batch])
    yield from source.validation_batches(7)
    if isinstance(source, RecordedTransitions):
        yield from source.validation_transitions(7)
        yield from source.first_batches(7)


def same(one, other):
    for a, b in zip(served(one), served(other), strict=True):
        for f in fields(a):
            left, right = getattr(a, f.name), getattr(b, f.name)
            if isinstance(left, torch.Tensor):
                assert (left.dtype, left.shape) == (right.dtype, right.shape)
                assert torch.equal(left, right), f.name
            else:
                assert left == right, f.name
    assert one.fingerprint == other.fingerprint
    assert one.metadata == other.metadata
    assert one.masked == other.masked


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("count", [1, 3])
def test_the_same_is_served(tmp_path, source, kind, count):
    if kind.get("unknown") and "normalised" in source:
        pytest.skip("bytes are not normalised")
    paths = written(tmp_path, kind, count)
    same(made(paths, source), made(paths, source, in_memory=False))
    same(made(paths, source), made(paths, source, in_memory=False))  # decoded already


@pytest.mark.parametrize("filled", ["keep", "zero"])
def test_what_was_not_known_is_as_asked_for(tmp_path, filled):
    paths = written(tmp_path, {"unknown": True})
    for how in ({}, {"cache": str(tmp_path / "elsewhere")}):
        both = [
            made(paths, "transitions", filled=filled, **more)
            for more in ({}, {"in_memory": False, **how})
        ]
        same(*both)


def test_it_is_decoded_once_and_again_where_the_file_is_another(tmp_path, monkeypatch):
    (path,) = written(tmp_path, {})
    made(path, "decisions", in_memory=False)
    (folder,) = [p for p in (tmp_path / "0.parquet.cache").iterdir() if p.is_dir()]
    with monkeypatch.context() as spoiled:
        spoiled.setattr(trajectories, "read", None)
        made(path, "decisions", in_memory=False)
    trajectories.write(path, drawn(7))
    same(made(path, "decisions"), made(path, "decisions", in_memory=False))
    assert len([p for p in folder.parent.iterdir() if p.is_dir()]) == 2


def test_a_decoding_that_fails_leaves_nothing_and_what_was_killed_is_no_hindrance(
    tmp_path, monkeypatch
):
    (path,) = written(tmp_path, {})
    cache = tmp_path / "cache"

    def fail(*arguments, **arrays):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as spoiled:
        spoiled.setattr(np, "savez", fail)
        with pytest.raises(DataError, match=r"No space left on device; data\.cache=DIR") as said:
            made(path, "decisions", in_memory=False, cache=str(cache))
    assert "\n" not in str(said.value)
    assert not [p for p in cache.iterdir() if p.is_dir()]
    left = cache / f".{made(path, 'decisions').fingerprint.file}"
    left.mkdir()
    (left / "observation").write_bytes(b"half")
    same(made(path, "decisions"), made(path, "decisions", in_memory=False, cache=str(cache)))
    assert not left.exists()


def test_files_of_another_kind_are_refused(tmp_path):
    paths = [*written(tmp_path, {}), str(tmp_path / "other.parquet")]
    trajectories.write(paths[1], drawn(0, masked=False))
    with pytest.raises(DataError, match="says which actions were legal"):
        made(paths, "decisions", in_memory=False)
    trajectories.write(paths[1], drawn(0, unknown=True))
    with pytest.raises(DataError, match="another kind of observation"):
        made(paths, "decisions", in_memory=False)


LARGE = """
import sys, threading
import numpy as np
from types import SimpleNamespace
from poke.data.transitions import RecordedTransitions
from poke.spaces import ObservationNormalizer

def anonymous():  # bytes that are no file's
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024

def serve(path):
    source = RecordedTransitions(path, batch_size=64, val_fraction=.1, gamma=.9, n_step=2,
                                 normalize_observation=True, in_memory=sys.argv[3] == "memory")
    normalizer = ObservationNormalizer(source.observation_space, source.observation_clip)
    policy = SimpleNamespace(normalizer=normalizer, initial_state=lambda size: None)
    source.attach(SimpleNamespace(policy=policy))
    for _ in range(200):
        source.sample()

serve(sys.argv[1])  # a small one: what is imported and pooled is so by now
before, most, done = anonymous(), 0, threading.Event()

def watch():
    global most
    while not done.wait(.002):
        most = max(most, anonymous())

thread = threading.Thread(target=watch)
thread.start()
serve(sys.argv[2])
done.set()
thread.join()
print(max(most, anonymous()) - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
@pytest.mark.slow
def test_what_is_larger_takes_little_memory(tmp_path):
    """300 MB of observations that no compression makes smaller: in memory they take all of that."""
    rng = np.random.default_rng(0)
    length, width = 300, 2500
    data = trajectories.Trajectories(
        observation=rng.normal(size=(length * 10, width)).astype(np.float32),
        action=rng.integers(2, size=length * 10),
        action_mask=np.ones((length * 10, 2), bool),
        reward=np.zeros(length * 10, np.float32),
        terminated=np.arange(length * 10) % length == length - 1,
        truncated=np.zeros(length * 10, bool),
        episode=np.arange(length * 10) // length,
        player=np.zeros(length * 10, np.int8),
        timestep=(np.arange(length * 10) % length).astype(np.int32),
        outcome=np.zeros(length * 10, np.int8),
        metadata={
            "observation": {"dtype": "float32", "shape": [width]},
            "action": {"kind": "discrete", "num_actions": 2},
        },
    )
    small, part, large = (tmp_path / f"{name}.parquet" for name in ("small", "part", "large"))
    trajectories.write(small, data.select(data.episode < 2), compression_level=1)
    trajectories.write(part, data, compression_level=1)
    trajectories.join(large, [part] * 10, data.metadata, compression_level=1)
    size = 10 * data.observation.nbytes
    assert large.stat().st_size > 0.8 * size

    def grown(how):
        command = [sys.executable, "-c", LARGE, str(small), str(large), how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    held, mapped = grown("memory"), grown("mapped")
    assert held > size, "the measure sees what is held"
    assert mapped < size / 3, f"{mapped:,} bytes"
