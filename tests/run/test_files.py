import json

import pytest

from poke.run.files import read_json, write_json


def test_json_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_reader_keeps_the_whole_file_it_opened(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with open(path) as reader:
        write_json(path, {"a": 2})
        assert json.load(reader) == {"a": 1}
    assert read_json(path) == {"a": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_damaged_json_reads_as_none(tmp_path):
    for text in ("", "{", "[1]", "\x00"):
        (tmp_path / "a.json").write_text(text)
        assert read_json(tmp_path / "a.json") is None
