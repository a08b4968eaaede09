"""Damage, failing disks and kills: what was good is still there, and nothing bad is taken for good."""

import errno
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from poke.training.checkpointing import CheckpointError, CheckpointManager, CheckpointMetadata

ROOT = Path(__file__).parents[3]


class Values:
    def __init__(self, state):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


def save(manager, step):
    state = {"weights": torch.full((2000,), float(step)), "name": f"step {step}"}
    return manager.save({"a": Values(state)}, CheckpointMetadata(0, step, {"val/loss": -step}))


def two_checkpoints(directory):
    with CheckpointManager(directory) as manager:
        save(manager, 1)
        return save(manager, 2)


def loaded_step(manager):
    """Load the newest checkpoint and return its step, if every value in it belongs to that step."""
    checkpoint = manager.load()
    step = checkpoint.metadata.step
    state = checkpoint.components["a"]
    assert torch.equal(state["weights"], torch.full((2000,), float(step)))
    assert state["name"] == f"step {step}"
    assert checkpoint.metadata.val_loss == -step
    return step


def flipped(data, position, bit):
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


@pytest.fixture
def reset(tmp_path):
    """Return a function that puts two good checkpoints back into a directory and returns it."""
    good = tmp_path / "good"
    two_checkpoints(good)

    def put_back():
        directory = tmp_path / "run"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(good, directory)
        return directory

    return put_back


def test_no_flipped_byte_of_a_file_loads_silently(reset):
    name = "checkpoint_epoch0_step2.pt"
    data = (reset() / name).read_bytes()
    generator = random.Random(0)
    ends = [*range(64), *range(len(data) - 128, len(data))]
    positions = ends + [generator.randrange(len(data)) for _ in range(600 - len(ends))]
    for number, position in enumerate(positions):
        directory = reset()
        (directory / name).write_bytes(flipped(data, position, generator.randrange(8)))
        if number % 4 == 0:
            # Without its index the file has only its own seal to be judged by.
            (directory / "checkpoints.json").unlink()
        assert loaded_step(CheckpointManager(directory)) == 1, f"byte {position}"
        assert (directory / f"{name}.corrupt").exists()


def test_no_flipped_byte_of_the_index_changes_what_is_loaded(reset):
    data = (reset() / "checkpoints.json").read_bytes()
    generator = random.Random(1)
    for position in [generator.randrange(len(data)) for _ in range(400)]:
        directory = reset()
        (directory / "checkpoints.json").write_bytes(
            flipped(data, position, generator.randrange(8))
        )
        manager = CheckpointManager(directory)
        assert [metadata.val_loss for metadata in manager.list_checkpoints()] == [-1, -2]
        assert loaded_step(manager) == 2
        assert json.loads((directory / "checkpoints.json").read_text())["best"] == (
            "checkpoint_epoch0_step2.pt"
        )


def test_zeroed_pages_and_truncations_are_found(reset, caplog):
    data = (reset() / "checkpoint_epoch0_step2.pt").read_bytes()
    damaged = [data[:length] for length in range(0, len(data), 499)]
    damaged += [data + b"\0", data[:-1]]
    for start in range(0, len(data), 1024):
        if any(data[start : start + 1024]):
            damaged.append(
                data[:start] + bytes(len(data[start : start + 1024])) + data[start + 1024 :]
            )
    for contents in damaged:
        directory = reset()
        caplog.clear()
        (directory / "checkpoint_epoch0_step2.pt").write_bytes(contents)
        assert loaded_step(CheckpointManager(directory)) == 1
        assert len(caplog.records) == 1
        assert "set aside" in caplog.text
        assert [path.name for path in directory.glob("checkpoint_*2.pt*")] == [
            "checkpoint_epoch0_step2.pt.corrupt"
        ]


def test_a_damaged_best_is_set_aside_and_the_next_best_serves(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        for step in (1, 2, 3):
            save(manager, step)
    path = tmp_path / "checkpoint_epoch0_step3.pt"
    path.write_bytes(flipped(path.read_bytes(), 5000, 0))
    manager = CheckpointManager(tmp_path)
    assert manager.load(load_best=True).metadata.step == 2
    assert manager.get_best().samefile(tmp_path / "checkpoint_epoch0_step2.pt")
    assert [metadata.step for metadata in manager.list_checkpoints()] == [1, 2]


def test_when_all_are_damaged_that_is_an_error_not_a_fresh_start(tmp_path):
    two_checkpoints(tmp_path)
    for path in tmp_path.glob("checkpoint_*.pt"):
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        CheckpointManager(tmp_path).load()


def test_a_damaged_file_asked_for_by_path_is_refused(tmp_path):
    path = two_checkpoints(tmp_path)
    path.write_bytes(flipped(path.read_bytes(), 3000, 3))
    for asked in (path, shutil.copy(path, tmp_path / "elsewhere.pt")):
        with pytest.raises(CheckpointError, match="is damaged"):
            CheckpointManager(tmp_path).load(asked)


def test_an_older_whole_file_under_a_newer_name_is_not_taken(tmp_path):
    path = two_checkpoints(tmp_path)
    shutil.copy(tmp_path / "checkpoint_epoch0_step1.pt", path)
    assert loaded_step(CheckpointManager(tmp_path)) == 1
    assert not path.exists()


def test_a_missing_file_is_said_and_the_one_before_serves(tmp_path, caplog):
    two_checkpoints(tmp_path).unlink()
    assert loaded_step(CheckpointManager(tmp_path)) == 1
    assert "listed but missing" in caplog.text


def test_a_lost_index_is_rebuilt(tmp_path):
    two_checkpoints(tmp_path)
    before = (tmp_path / "checkpoints.json").read_bytes()
    (tmp_path / "checkpoints.json").unlink()
    assert loaded_step(CheckpointManager(tmp_path)) == 2
    assert (tmp_path / "checkpoints.json").read_bytes() == before


@pytest.mark.parametrize("name", ["../outside.pt", "/etc/passwd", "sub/checkpoint_epoch0_step2.pt"])
def test_an_index_that_points_outside_is_not_followed(tmp_path, name, caplog):
    from poke.training.checkpointing.index import _checksum

    directory = tmp_path / "run"
    path = two_checkpoints(directory)
    shutil.copy(path, tmp_path / "outside.pt")
    contents = json.loads((directory / "checkpoints.json").read_text())
    contents["checkpoints"][1]["file"] = name
    del contents["checksum"]
    contents["checksum"] = _checksum(contents)
    (directory / "checkpoints.json").write_text(json.dumps(contents))
    manager = CheckpointManager(directory)
    assert "is not the name of a checkpoint" in caplog.text
    assert manager.load().path == path


class Payload:
    """Runs code when it is unpickled without care."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickle_payload_is_refused_and_never_runs(tmp_path):
    marker = tmp_path / "code_was_run"
    inside_a_zip, plain = tmp_path / "inside.pt", tmp_path / "plain.pt"
    torch.save({"components": Payload(marker), "format_version": 2}, inside_a_zip)
    plain.write_bytes(pickle.dumps(Payload(marker)))
    manager = CheckpointManager(tmp_path / "run")
    with pytest.raises(CheckpointError, match="pickle payload") as raised:
        manager.load(inside_a_zip)
    assert "\n" not in str(raised.value)
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        manager.load(plain)
    assert not marker.exists()


def test_files_follow_the_umask_and_are_never_world_writable(tmp_path):
    modes = {}
    for umask in (0o077, 0o022, 0o000):
        before = os.umask(umask)
        try:
            path = two_checkpoints(tmp_path / str(umask))
        finally:
            os.umask(before)
        modes[umask] = {
            path.stat().st_mode & 0o777,
            path.with_name("checkpoints.json").stat().st_mode & 0o777,
        }
    assert modes == {0o077: {0o600}, 0o022: {0o644}, 0o000: {0o664}}


FILE_CALLS = ("open", "write", "pwrite", "fsync", "replace")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_whatever_call_fails_the_checkpoints_before_stand(tmp_path, monkeypatch, caplog, code):
    """Let the first call of a save fail, then the second, and so on until a save meets no fault."""
    call_number, failed = 0, True
    while failed:
        call_number += 1
        directory = tmp_path / str(call_number)
        two_checkpoints(directory)
        manager = CheckpointManager(directory, async_save=False)
        calls = []
        caplog.clear()
        with monkeypatch.context() as patch:
            for name in FILE_CALLS:
                patch.setattr(os, name, failing_at(call_number, getattr(os, name), code, calls))
            save(manager, 3)
        failed = bool(caplog.records)
        if failed:
            assert len(caplog.records) == 1
            assert "checkpoint_epoch0_step3.pt not written" in caplog.text
            assert os.strerror(code) in caplog.text
            with pytest.raises(CheckpointError, match="the last checkpoint was not written"):
                manager.wait()
        assert not list(directory.glob(".*"))
        assert loaded_step(CheckpointManager(directory)) in ((2, 3) if failed else (3,))
        save(manager, 4)
        manager.close()
        assert loaded_step(CheckpointManager(directory)) == 4
    assert call_number > 15


def failing_at(number, call, code, calls):
    def maybe_failing(*arguments, **options):
        calls.append(call)
        if len(calls) == number:
            raise OSError(code, os.strerror(code))
        return call(*arguments, **options)

    return maybe_failing


@pytest.mark.parametrize("async_save", [True, False])
def test_a_failed_save_is_retried_by_the_next_and_only_the_last_counts(
    tmp_path, monkeypatch, async_save
):
    manager = CheckpointManager(tmp_path, async_save=async_save)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_at(1, os.fsync, errno.EIO, []))
        save(manager, 1)
        assert manager.list_checkpoints() == []
    save(manager, 2)
    manager.wait()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_at(1, os.fsync, errno.EIO, []))
        save(manager, 3)
        with pytest.raises(CheckpointError, match="Input/output error"):
            manager.close()
    assert loaded_step(CheckpointManager(tmp_path)) == 2


def test_a_full_disk_is_met_before_anything_is_written(tmp_path, monkeypatch, caplog):
    two_checkpoints(tmp_path)
    manager = CheckpointManager(tmp_path, async_save=False)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=500_000))
    monkeypatch.setattr(torch, "save", lambda *_: pytest.fail("began to write"))
    save(manager, 3)
    assert "MB needed, 500 kB free" in caplog.text
    assert loaded_step(CheckpointManager(tmp_path)) == 2


def test_a_really_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", tmp_path], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**12))
        manager = CheckpointManager(tmp_path)
        manager.save({"a": Values({"x": torch.ones(400_000)})}, CheckpointMetadata(0, 1))
        manager.wait()
        manager.save({"a": Values({"x": torch.ones(500_000)})}, CheckpointMetadata(0, 2))
        with pytest.raises(CheckpointError, match="No space left on device"):
            manager.wait()
        assert CheckpointManager(tmp_path).load().metadata.step == 1
        assert not list(tmp_path.glob(".*"))
        manager.save({"a": Values({"x": torch.ones(200_000)})}, CheckpointMetadata(0, 3))
        manager.close()
        assert CheckpointManager(tmp_path).load().metadata.step == 3
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_what_a_killed_process_left_is_swept_at_the_next_start(tmp_path):
    two_checkpoints(tmp_path)
    (tmp_path / ".123-abcd.tmp").write_bytes(b"half a checkpoint")
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / ".123-abcd.tmp").write_bytes(b"half a segment")
    CheckpointManager(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_a_directory_that_cannot_be_used_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be used") as raised:
        CheckpointManager(tmp_path / "file")
    assert "\n" not in str(raised.value)


SAVE_ORDER = ["write", "fsync", "rename .pt", "fsync directory"]
INDEX_ORDER = ["write", "fsync", "rename checkpoints.json", "fsync directory"]


def test_the_order_of_system_calls(tmp_path, monkeypatch):
    directories = {}
    events = []

    def note(event):
        if events[-1:] != [event]:
            events.append(event)

    real = {name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "unlink")}

    def recording_open(path, *arguments, **options):
        descriptor = real["open"](path, *arguments, **options)
        directories[descriptor] = Path(path).is_dir()
        return descriptor

    def recording_write(descriptor, data):
        note("write")
        return real["write"](descriptor, data)

    def recording_fsync(descriptor):
        note("fsync directory" if directories[descriptor] else "fsync")
        return real["fsync"](descriptor)

    def recording_replace(source, target):
        name = Path(target).name
        note(f"rename {'.pt' if name.startswith('checkpoint_') else name}")
        return real["replace"](source, target)

    def recording_unlink(path, *arguments, **options):
        if Path(path).exists():
            note(f"delete {Path(path).name}")
        return real["unlink"](path, *arguments, **options)

    manager = CheckpointManager(tmp_path, max_to_keep=1, keep_best=False, async_save=False)
    save(manager, 1)
    for name, recording in {
        "open": recording_open,
        "write": recording_write,
        "fsync": recording_fsync,
        "replace": recording_replace,
        "unlink": recording_unlink,
    }.items():
        monkeypatch.setattr(os, name, recording)
    save(manager, 2)
    assert events == [*SAVE_ORDER, *INDEX_ORDER, "delete checkpoint_epoch0_step1.pt"]


TRACED = """
import sys, torch
from poke.training.checkpointing import CheckpointManager, CheckpointMetadata
manager = CheckpointManager(sys.argv[1], keep_best=False, async_save=False)
manager.save({"network": torch.nn.Linear(300, 300)}, CheckpointMetadata(0, 1))
"""


def test_the_order_of_system_calls_as_the_kernel_sees_it(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "trace"
    calls = "trace=write,pwrite64,fsync,rename,renameat,renameat2"
    command = ["strace", "-f", "-y", "-e", calls, "-o", str(log), sys.executable, "-c", TRACED]
    done = subprocess.run([*command, str(tmp_path / "run")], capture_output=True, text=True)
    if "Operation not permitted" in done.stderr:
        pytest.skip("tracing is not allowed here")
    assert done.returncode == 0, done.stderr
    events = []
    for line in log.read_text().splitlines():
        call = line.split(maxsplit=1)[1]
        if str(tmp_path / "run") not in call:
            continue
        name = call.split("(")[0]
        if name == "fsync":
            event = "fsync" if ".tmp>" in call else "fsync directory"
        elif name.startswith("rename"):
            event = (
                "rename .pt" if "checkpoint_epoch0_step1.pt" in call else "rename checkpoints.json"
            )
        else:
            event = "write"
        if events[-1:] != [event]:
            events.append(event)
    assert events == [*SAVE_ORDER, *INDEX_ORDER]


@pytest.mark.parametrize(
    "arguments",
    [("boundaries",), ("kills", "--count", "20"), ("training", "--count", "20")],
    ids=lambda arguments: arguments[0],
)
def test_killed_at_any_moment_it_resumes_as_if_undisturbed(arguments):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "faults.py", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
