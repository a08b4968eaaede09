import errno
import os
import shutil
import stat
from contextlib import contextmanager

import pytest

from poke.run import directory
from poke.run.examining import disk


def looked_at(outputs):
    findings = disk.look_at_disk(outputs)
    assert all(len(found.advice) <= 76 for found in findings)
    return {found.name: found for found in findings}


def test_a_folder_in_order_and_nothing_is_left_in_it(tmp_path):
    found = looked_at(tmp_path)
    assert {f.status for f in found.values()} == {"ok"}
    assert set(found) == {"outputs", "fsync", "links", "lock"}
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    found = looked_at(tmp_path / "some" / "outputs")
    assert {f.status for f in found.values()} == {"ok"}
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "outputs").write_text("a file")
    (found,) = looked_at(tmp_path / "outputs" / "here").values()
    assert (found.status, found.needed) == ("broken", True)
    assert "cannot be written" in found.text
    assert "hydra.run.dir=DIR" in found.advice


def refuse(*_, **__):
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("kind", [stat.S_ISREG, stat.S_ISDIR])
def test_what_cannot_be_synced(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: kind(os.fstat(descriptor).st_mode) and refuse()
    )
    found = looked_at(tmp_path)
    assert (found["fsync"].status, found["fsync"].needed) == ("broken", True)
    assert "Input/output error" in found["fsync"].text
    assert found["links"].status == found["lock"].status == "ok"


def test_without_hard_links_a_run_goes_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse)
    found = looked_at(tmp_path)["links"]
    assert (found.status, found.needed) == ("missing", False)
    assert "copy" in found.advice


def test_a_lock_that_keeps_nobody_out(tmp_path, monkeypatch):
    monkeypatch.setattr(directory.RunDirectory, "held", contextmanager(lambda _: iter([None])))
    found = looked_at(tmp_path)["lock"]
    assert (found.status, found.needed) == ("broken", True)


def test_a_lock_that_cannot_be_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(directory.FileLock, "acquire", refuse)
    found = looked_at(tmp_path)["lock"]
    assert (found.status, found.needed) == ("broken", True)
    assert "Input/output error" in found.text


@pytest.mark.parametrize(("free", "status"), [(199_999_999, "broken"), (200_000_000, "ok")])
def test_a_full_disk(tmp_path, monkeypatch, free, status):
    used = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: used)
    found = looked_at(tmp_path)["outputs"]
    assert (found.status, found.needed) == (status, True)
    assert "0.2 GB free" in found.text
