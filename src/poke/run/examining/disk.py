"""Whether the folder that runs write to can do what a run asks of it, tried in a folder that is taken away again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from poke.run.examining.findings import BROKEN, MISSING, OK, Finding, examined

LEAST_FREE_BYTES = 200_000_000  # a run of the default config writes some tens of megabytes
_ELSEWHERE = "write elsewhere: hydra.run.dir=DIR; see python -m poke.doctor DIR"


def look_at_disk(outputs: Path) -> list[Finding]:
    """Find whether runs can be written below a folder: can files be made, synced, linked and locked, is there room?

    Args:
        outputs: the folder. Where it is not there yet, the nearest one above it is looked at; none is made.
    """
    try:
        place = _nearest(outputs)
        with tempfile.TemporaryDirectory(prefix=".poke-doctor-", dir=place) as name:
            folder = Path(name)
            looks: dict[str, Callable[[], Finding]] = {
                "fsync": lambda: _look_at_sync(folder),
                "links": lambda: _look_at_links(folder),
                "lock": lambda: _look_at_lock(folder),
            }
            found = [
                examined(name, look, advice=_ELSEWHERE, needed=True) for name, look in looks.items()
            ]
    except OSError as error:
        text = f"{outputs} cannot be written: {error.strerror or error}"
        return [Finding("outputs", BROKEN, text, _ELSEWHERE, needed=True)]
    return [_look_at_room(outputs, place), *found]


def _nearest(outputs: Path) -> Path:
    """The folder itself, or the nearest above it that is there; a file in the way is one that cannot be written to."""
    place = outputs.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    return place


def _look_at_room(outputs: Path, place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free for {outputs}"
    if free < LEAST_FREE_BYTES:
        return Finding(
            "outputs", BROKEN, text, "make room, or " + _ELSEWHERE.partition(";")[0], needed=True
        )
    return Finding("outputs", OK, text, needed=True)


def _look_at_sync(folder: Path) -> Finding:
    """As every file of a run is written: synced under another name, renamed, and its folder synced."""
    temporary, whole = folder / ".file.tmp", folder / "file"
    with open(temporary, "wb") as file:
        file.write(b"poke")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, whole)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Finding("fsync", OK, "files are synced to the disk and renamed in one step", needed=True)


def _look_at_links(folder: Path) -> Finding:
    (folder / "source").touch()
    try:
        os.link(folder / "source", folder / "link")
    except OSError as error:
        text = f"no hard links here: {error.strerror or error}"
        return Finding("links", MISSING, text, "best.pt is a copy then, which takes more room")
    return Finding("links", OK, "best.pt takes no room of its own")


def _look_at_lock(folder: Path) -> Finding:
    """As a run takes its directory's, and as others ask for it."""
    from poke.run.directory import RunDirectory, is_held

    with RunDirectory(folder).held():
        if not is_held(folder):
            text = "a lock keeps nobody out: two processes could write one run"
            return Finding("lock", BROKEN, text, _ELSEWHERE, needed=True)
    return Finding("lock", OK, "a run's directory has one process at a time", needed=True)
