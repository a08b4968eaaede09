"""A mirror holds a whole run whenever whatever dies, and gives back what it was given."""

import json
import random
import shutil
import sys
import uuid

import fsspec
import pytest

from poke.run import mirror
from poke.run.mirror import Manifest, Mirror, MirrorError, holds_a_mirror, place_of, restore


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mirror, "RETRY_SECONDS", ())


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    return f"file://{tmp_path / 'elsewhere'}"


@pytest.fixture
def run_dir(tmp_path):
    """Something like a run, with two checkpoints that share a segment."""
    run = tmp_path / "outputs" / "run"
    (run / "checkpoints" / "segments").mkdir(parents=True)
    (run / ".hydra").mkdir()
    for name in ("config.yaml", "metrics.csv", "run.json", ".hydra/config.yaml"):
        (run / name).write_text(name)
    (run / ".lock").touch()
    (run / "checkpoints" / "segments" / "rows_0-1.pt").write_bytes(b"rows")
    (run / "checkpoints" / "segments" / "shards_1").mkdir()
    (run / "checkpoints" / "segments" / "shards_1" / ".metadata").write_bytes(b"what is where")
    save(run, 1)
    save(run, 2)
    return run


def save(run, step, keep=2):
    """What a checkpoint does to the directory, the files before the index and their deletion after it."""
    folder = run / "checkpoints"
    (folder / f"checkpoint_{step}.pt").write_bytes(b"weights" * step)
    entries = [
        {"file": f"checkpoint_{s}.pt", "segments": ["rows_0-1.pt", "shards_1/.metadata"]}
        for s in range(max(1, step - keep + 1), step + 1)
    ]
    (folder / "checkpoints.json").write_text(json.dumps({"checkpoints": entries}))
    for old in set(folder.glob("checkpoint_*.pt")) - {folder / e["file"] for e in entries}:
        old.unlink()


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != ".lock"
    }


def stored(url):
    files, root = fsspec.core.url_to_fs(url)
    return set(files.find(root))


def test_what_is_mirrored_is_restored(url, run_dir, tmp_path):
    Mirror(run_dir, url, "now").push()
    place = place_of(url, run_dir)
    assert place == f"{url}/outputs/run"
    restored = restore(place, tmp_path / "again")
    assert contents(restored) == contents(run_dir)
    assert not list(tmp_path.glob(".*"))


def test_a_checkpoint_that_somebody_took_away_keeps_nothing_else_from_the_mirror(
    url, run_dir, tmp_path
):
    (run_dir / "checkpoints" / "checkpoint_1.pt").unlink()
    half = run_dir / "checkpoints" / "segments" / ".12-ab.tmp"
    half.mkdir()
    (half / "__0_0.distcp").write_bytes(b"half")
    Mirror(run_dir, url, "started").push()
    restored = restore(place_of(url, run_dir), tmp_path / "back")
    shutil.rmtree(half)
    assert contents(restored) == contents(run_dir)


def test_by_default_it_is_restored_to_where_it_was(url, run_dir, tmp_path, monkeypatch):
    Mirror(run_dir, url, "now").push()
    there = tmp_path / "another machine"
    there.mkdir()
    monkeypatch.chdir(there)
    assert (there / restore(f"{url}/outputs/run")).samefile(there / "outputs" / "run")
    assert contents(there / "outputs" / "run") == contents(run_dir)


def test_only_what_is_new_is_uploaded_and_what_is_old_goes(url, run_dir, tmp_path, monkeypatch):
    kept = Mirror(run_dir, url, "now")
    kept.push()
    before = stored(url)
    written = []
    put = mirror.Store.put
    monkeypatch.setattr(mirror.Store, "put", lambda s, f, o: (written.append(o), put(s, f, o)))
    kept.push()
    assert not written
    assert len(stored(url)) == len(before)
    save(run_dir, 3)
    kept.push()
    assert len(written) == 2  # the checkpoint and the index
    assert len(stored(url)) == len(before)
    # Another process goes on with the same mirror, and uploads nothing that is there.
    written.clear()
    Mirror(run_dir, url, "now").push()
    assert not written
    assert contents(restore(place_of(url, run_dir), tmp_path / "again")) == contents(run_dir)


def test_training_goes_on_meanwhile(url, run_dir, tmp_path, monkeypatch):
    """Checkpoints come and go between any two files that are uploaded: what is mirrored is whole all the same."""
    step = 2
    put = Mirror._put

    def put_and_train(self, path):
        nonlocal step
        with open(run_dir / "metrics.csv", "a") as file:
            file.write(f"row {step}\n")
        if random.random() < 0.3 and step < 40:
            step += 1
            save(run_dir, step)
        return put(self, path)

    monkeypatch.setattr(Mirror, "_put", put_and_train)
    kept = Mirror(run_dir, url, "now")
    for number in range(5):
        kept.push()
        found = contents(restore(place_of(url, run_dir), tmp_path / str(number)))
        index = json.loads(found["checkpoints/checkpoints.json"])
        for entry in index["checkpoints"]:
            saved = int(entry["file"].removesuffix(".pt").partition("_")[2])
            assert found[f"checkpoints/{entry['file']}"] == b"weights" * saved
        assert found["metrics.csv"].startswith(b"metrics.csv")


@pytest.mark.parametrize("seed", range(20))
def test_a_store_that_fails_anywhere_keeps_the_run_it_had(
    seed, url, run_dir, tmp_path, monkeypatch
):
    """Whatever call fails, what is there is the run before or the run now, and the next push makes it good."""
    kept = Mirror(run_dir, url, "now")
    kept.push()
    before = contents(run_dir)
    save(run_dir, 3)
    now = contents(run_dir)
    files = type(kept._store._files)
    left = seed // 2

    def failing(real):
        def call(*arguments, **options):
            nonlocal left
            left -= 1
            if left == -1:
                raise ConnectionError("the network is down")
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("open", "ls", "rm_file", "makedirs"):
            patch.setattr(files, name, failing(getattr(files, name)))
        error = kept._try()
    place = place_of(url, run_dir)
    found = contents(restore(place, tmp_path / "after"))
    assert found in (before, now)
    if error is None:
        assert left > -1
        assert found == now
    else:
        assert "the network is down" in str(error)
    kept.push()
    assert contents(restore(place, tmp_path / "later")) == now
    assert len(stored(url)) == len({*now.values()}) + 1


def test_what_is_not_there_as_it_was_written_does_not_count(url, run_dir, tmp_path, monkeypatch):
    kept = Mirror(run_dir, url, "now")
    kept.push()
    before = contents(run_dir)
    save(run_dir, 3)
    copy = mirror._copy

    def flipped(source, take, size):
        return copy(source, lambda some: take(some[:-1] + bytes([some[-1] ^ 1])), size)

    with monkeypatch.context() as patch:
        put = mirror.Store.put

        def put_flipped(self, source, about):
            with monkeypatch.context() as inner:
                calls = iter([flipped, copy])
                inner.setattr(mirror, "_copy", lambda *a: next(calls)(*a))
                return put(self, source, about)

        patch.setattr(mirror.Store, "put", put_flipped)
        assert "what was uploaded is not what was read" in str(kept._try())
    assert contents(restore(place_of(url, run_dir), tmp_path / "again")) == before


@pytest.mark.parametrize("damage", ["object", "gone", "manifest"])
def test_what_is_damaged_is_never_restored(damage, url, run_dir, tmp_path):
    kept = Mirror(run_dir, url, "now")
    kept.push()
    place = place_of(url, run_dir)
    files, root = fsspec.core.url_to_fs(place)
    folder = "manifests" if damage == "manifest" else "objects"
    name = sorted(files.ls(f"{root}/{folder}", detail=False))[0]
    held = files.cat_file(name)
    files.rm_file(name)
    if damage != "gone":
        files.pipe_file(name, bytes([held[0] ^ 1]) + held[1:])
    line = {"object": "is damaged", "gone": "is missing", "manifest": "no run is mirrored"}[damage]
    with pytest.raises(MirrorError, match=line):
        restore(place, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))


def test_two_runs_do_not_share_a_place(url, run_dir):
    Mirror(run_dir, url, "now").push()
    with pytest.raises(MirrorError, match="another run is mirrored in"):
        Mirror(run_dir, url, "later")


def test_two_processes_do_not_go_on_with_one_run(url, run_dir):
    first, second = Mirror(run_dir, url, "now"), Mirror(run_dir, url, "now")
    first.push()
    with pytest.raises(MirrorError, match="another process goes on with the same run"):
        second.push()


def test_nothing_is_written_over(url, run_dir):
    Mirror(run_dir, url, "now").push()
    before = contents(run_dir)
    with pytest.raises(MirrorError, match="is there already: resume="):
        restore(place_of(url, run_dir))
    assert contents(run_dir) == before


def test_a_name_that_leads_out_of_the_run_is_refused(url, run_dir, tmp_path):
    kept = Mirror(run_dir, url, "now")
    kept.push()
    found = kept._store.newest()
    evil = Manifest(found.number + 1, "now", "run", {"../evil": next(iter(found.files.values()))})
    kept._store.put_manifest(evil)
    with pytest.raises(MirrorError, match="lies outside the run"):
        restore(place_of(url, run_dir), tmp_path / "again")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", ""])
def test_a_run_whose_directory_leads_out_of_the_folder_is_refused(path, url, run_dir, tmp_path):
    kept = Mirror(run_dir, url, "now")
    kept.push()
    found = kept._store.newest()
    kept._store.put_manifest(Manifest(found.number + 1, "now", path, found.files))
    with pytest.raises(MirrorError, match="lies outside this folder"):
        restore(kept.url)
    assert not (tmp_path.parent / "evil").exists()
    assert contents(restore(kept.url, tmp_path / "again")) == contents(run_dir)


def test_a_newer_mirror_is_refused(url, run_dir):
    kept = Mirror(run_dir, url, "now")
    kept.push()
    files, root = fsspec.core.url_to_fs(kept.url)
    name = files.ls(f"{root}/manifests", detail=False)[0]
    values = json.loads(files.cat_file(name))
    del values["checksum"]
    values["format"] = 2
    files.pipe_file(name, json.dumps({**values, "checksum": mirror._checksum(values)}).encode())
    with pytest.raises(MirrorError, match="update poke"):
        restore(kept.url)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [("nowhere://a", "Protocol not known"), ("s3://bucket", "s3fs"), ("gs://bucket", "gcsfs")],
)
def test_a_store_that_cannot_be_reached_is_said_in_one_line(wrong, line, run_dir, monkeypatch):
    for package in ("s3fs", "gcsfs"):  # as where they are not installed
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MirrorError, match=line) as caught:
        Mirror(run_dir, wrong, "now")
    assert "\n" not in str(caught.value)
    with pytest.raises(MirrorError, match=line):
        holds_a_mirror(wrong)


def test_it_works_in_the_background_and_says_what_it_lacks_at_the_end(
    run_dir, url, caplog, tmp_path, monkeypatch
):
    caplog.set_level("INFO")
    kept = Mirror(run_dir, url, "now")
    kept.begin()
    kept.push_soon()
    save(run_dir, 3)
    kept.close()
    assert f"mirrored in {kept.url}" in caplog.text
    assert contents(restore(kept.url, tmp_path / "again")) == contents(run_dir)
    other = Mirror(run_dir, url, "now")
    other.begin()
    save(run_dir, 4)

    def fail(*_):
        raise ConnectionError("the network\nis down")

    monkeypatch.setattr(mirror.Store, "put", fail)
    other.close()
    assert f"{other.url} lacks the end of the run: the network is down" in caplog.text
