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

from poke.training.checkpointing import (
    CheckpointError,
    CheckpointManager,
    CheckpointMetadata,
    writer,
)

ROOT = Path(__file__).parents[3]


class Values:
    def __init__(self, state):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """No test waits for a second attempt; return a function that says how many there are."""

    def allow(*, after_a_failure=0, at_the_end=0):
        monkeypatch.setattr(writer, "RETRY_SECONDS", (0.0,) * after_a_failure)
        monkeypatch.setattr(writer, "LAST_RETRY_SECONDS", (0.0,) * at_the_end)

    allow()
    return allow


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
    positions = ends + [generator.randrange(len(data)) for _ in range(300 - len(ends))]
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
    for position in [generator.randrange(len(data)) for _ in range(200)]:
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


def failing(call, code, calls, numbers):
    """Return the call, failing at these of all calls counted in ``calls``."""

    def maybe_failing(*arguments, **options):
        calls.append(call)
        if len(calls) in numbers:
            raise OSError(code, os.strerror(code))
        return call(*arguments, **options)

    return maybe_failing


def break_disk(patch, code, numbers, names=FILE_CALLS):
    calls = []
    for name in names:
        patch.setattr(os, name, failing(getattr(os, name), code, calls, numbers))


def assert_nothing_left_over(directory):
    """Everything in the directory is listed, in a copy of it that is opened anew."""
    assert not list(directory.rglob(".*"))
    copy = directory.with_name(f"{directory.name} copied")
    shutil.copytree(directory, copy)
    listed = {metadata.file_name for metadata in CheckpointManager(copy).list_checkpoints()}
    assert {path.name for path in copy.iterdir()} == listed | {"best.pt", "checkpoints.json"}


@pytest.mark.parametrize("from_then_on", [False, True])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_whatever_call_fails_the_checkpoints_before_stand(
    tmp_path, monkeypatch, caplog, code, from_then_on
):
    """Let the first call of a save fail, then the second, and so on until a save meets no fault."""
    call_number, met_a_fault = 0, True
    while met_a_fault:
        call_number += 1
        directory = tmp_path / str(call_number)
        two_checkpoints(directory)
        manager = CheckpointManager(directory, max_to_keep=2, async_save=False)
        caplog.clear()
        with monkeypatch.context() as patch:
            numbers = range(call_number, 10_000 if from_then_on else call_number + 1)
            break_disk(patch, code, numbers)
            save(manager, 3)
            met_a_fault = bool(caplog.records)
            failed = "checkpoint_epoch0_step3.pt not written" in caplog.text
            if met_a_fault:
                assert len(caplog.records) == 1
                assert os.strerror(code) in caplog.text
            if failed and from_then_on:
                with pytest.raises(CheckpointError, match="the last checkpoint was not written"):
                    manager.wait()
                assert len(caplog.records) == 1
        manager.wait()
        assert_nothing_left_over(directory)
        newest = loaded_step(CheckpointManager(directory, open_now=False))
        assert newest in ((2, 3) if failed and from_then_on else (3,))
        save(manager, 4)
        manager.close()
        assert_nothing_left_over(directory.rename(tmp_path / f"{call_number} at its end"))
    assert call_number > 25


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("async_save", [True, False])
def test_a_save_that_fails_is_tried_again_before_it_is_said(
    tmp_path, monkeypatch, caplog, pauses, async_save, code
):
    pauses(after_a_failure=2)
    manager = CheckpointManager(tmp_path, async_save=async_save)
    with monkeypatch.context() as patch:
        break_disk(patch, code, (1, 2), names=("fsync",))
        save(manager, 1)
        manager.wait()
    assert not caplog.records
    assert loaded_step(manager) == 1
    with monkeypatch.context() as patch:
        break_disk(patch, code, (1, 2, 3), names=("fsync",))
        save(manager, 2)
        assert [metadata.step for metadata in manager.list_checkpoints()] == [1]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    manager.close()
    assert "checkpoint_epoch0_step2.pt is written after all" in caplog.text
    assert_nothing_left_over(tmp_path)
    assert loaded_step(CheckpointManager(tmp_path)) == 2


def test_the_last_save_is_tried_harder_with_the_state_it_was_given(tmp_path, monkeypatch, pauses):
    weights = torch.zeros(2000)
    manager = CheckpointManager(tmp_path)
    with monkeypatch.context() as patch:
        pauses(at_the_end=2)
        break_disk(patch, errno.EIO, range(1, 4), names=("fsync",))
        manager.save({"a": Values({"weights": weights})}, CheckpointMetadata(0, 1))
        weights += 1
        manager.close()
    assert torch.equal(manager.load().components["a"]["weights"], torch.zeros(2000))


def test_an_emergency_checkpoint_does_not_get_into_a_save_that_is_tried_again(
    tmp_path, monkeypatch
):
    manager = CheckpointManager(tmp_path)
    with monkeypatch.context() as patch:
        break_disk(patch, errno.EIO, (1,), names=("fsync",))
        save(manager, 1)
        manager.list_checkpoints()
    state = {"weights": torch.full((2000,), 2.0), "name": "step 2"}
    manager.save_emergency({"a": Values(state)}, CheckpointMetadata(0, 2))
    manager.close()
    assert loaded_step(manager) == 1


def test_a_best_that_never_reached_the_disk_is_none(tmp_path, monkeypatch):
    manager = CheckpointManager(tmp_path, async_save=False)
    with monkeypatch.context() as patch:
        break_disk(patch, errno.EIO, (1,), names=("fsync",))
        manager.save({}, CheckpointMetadata(0, 1, {"val/loss": 0.1}))
    manager.save({}, CheckpointMetadata(0, 2, {"val/loss": 0.5}))
    assert manager.best_metadata().step == 2


def test_a_failure_is_said_once_until_a_save_succeeds(tmp_path, monkeypatch, caplog):
    manager = CheckpointManager(tmp_path, async_save=False)

    def fail(step, code):
        with monkeypatch.context() as patch:
            break_disk(patch, code, range(1, 10_000), names=("fsync",))
            save(manager, step)

    fail(1, errno.ENOSPC)
    fail(2, errno.ENOSPC)
    fail(3, errno.EIO)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "checkpoint_epoch0_step1.pt not written",
        "checkpoint_epoch0_step3.pt not written",
    ]
    assert manager.best_metadata().step == 3  # a save that was given up does not count
    save(manager, 4)
    assert manager.best_metadata().step == 4
    caplog.clear()
    fail(5, errno.EIO)
    assert "checkpoint_epoch0_step5.pt not written" in caplog.text
    break_disk(monkeypatch, errno.EIO, range(1, 10_000), names=("fsync",))
    with pytest.raises(CheckpointError, match="Input/output error"):
        manager.close()
    manager.close()
    assert manager.best_metadata().step == 4
    assert loaded_step(CheckpointManager(tmp_path, open_now=False)) == 4


LIMITED = """
import resource, sys, torch
from poke.training.checkpointing import CheckpointError, CheckpointManager, CheckpointMetadata, writer

writer.RETRY_SECONDS = writer.LAST_RETRY_SECONDS = (0.0, 0.0)
ring = {"ring_columns": {"x": torch.ones(100, 1000)}, "num_appended": 10, "generation": 0}
weights = torch.nn.Module()
weights.get_state = lambda: {"weights": torch.ones(int(sys.argv[2])), "ring": ring}
manager = CheckpointManager(sys.argv[1])
manager.save({"a": weights}, CheckpointMetadata(0, 1))
manager.wait()
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for step, rows in ((2, 20), (3, 90)):
    ring["num_appended"] = rows  # 40 kB, then 280 kB
    manager.save({"a": weights}, CheckpointMetadata(0, step))
try:
    manager.close()
except CheckpointError as error:
    print(error)
"""


@pytest.mark.parametrize("num_weights", [10, 100_000])
def test_a_limit_on_file_sizes_leaves_nothing_half_written(tmp_path, num_weights):
    """Met in the middle of a checkpoint, or of a segment after a save that fitted."""
    directory = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(directory), str(num_weights)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("the last checkpoint was not written: [Errno 27]")
    assert done.stderr.count("not written") == 1
    assert not list(directory.rglob(".*"))
    manager = CheckpointManager(directory, open_now=False)
    assert manager.load().metadata.step == (2 if num_weights == 10 else 1)
    assert len(list((directory / "segments").iterdir())) == (2 if num_weights == 10 else 1)


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


INDEX_ORDER = ["write", "fsync", "rename checkpoints.json", "fsync directory"]
# The file, what the journal says of it, its name, its entry.
SAVE_ORDER = [
    *("write", "fsync"), *INDEX_ORDER, *("rename .pt", "fsync directory"), *INDEX_ORDER,
]  # fmt: skip


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
    assert events == [*SAVE_ORDER, "delete checkpoint_epoch0_step1.pt", *INDEX_ORDER]


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
    assert events == SAVE_ORDER


@pytest.mark.parametrize(
    "arguments",
    [("boundaries",), ("kills", "--count", "20", "--megabytes", "20")],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.slow
def test_killed_at_any_moment_it_resumes_as_if_undisturbed(arguments):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "faults.py", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
