import json
import os
import select
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from poke.envs import showdown
from poke.envs.showdown.installation import ShowdownError, find_node, find_package
from poke.envs.showdown.pipes import process
from poke.envs.showdown.pipes.process import WorkerProcess
from poke.envs.showdown.pipes.workers import (
    ASKED,
    LOST,
    BattleWorkers,
    Start,
    battle_seeds,
    unpack_masks,
)

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]

# A node that greets as a worker does, and answers with what is no frame.
GARBAGE = f"""#!{sys.executable}
import json, os, struct, sys
def read():
    (length,) = struct.unpack("<I", sys.stdin.buffer.read(4))
    return sys.stdin.buffer.read(length)
read()
hello = b"H" + json.dumps({{"players": ["asked"], "notes": ["not accelerated: x"] * 2}}).encode()
os.write(1, struct.pack("<I", len(hello)) + hello)
read()
os.write(1, b"an error message on the wrong stream")
read(), read(), read()
"""


def start_all(workers, *numbers):
    workers.begin(Start(i, battle_seeds(*numbers, i)) for i in range(workers.num_battles))
    return workers.exchange()


def choose_first(workers, records):
    for record in records[records["flags"] & ASKED != 0]:
        action = np.flatnonzero(unpack_masks(record["mask"], 26))[-1]
        workers.choose(record["battle"], record["seat"], action)


def assert_it_goes_on(workers, records, lost, caplog, said):
    """The lost worker's battles are lost, the others go on, and new ones begin in their places."""
    is_lost = records["flags"] & LOST != 0
    assert [(int(r["battle"]), int(r["seat"])) for r in records[is_lost]] == [
        (battle, seat) for battle in lost for seat in range(2)
    ]
    assert set(records["battle"][~is_lost]) == set(range(workers.num_battles)) - set(lost)
    assert workers.num_lost == len(lost)
    assert workers.num_replaced == 1
    (warning,) = caplog.messages
    assert said in warning
    assert f"{len(lost)} battles are lost" in warning
    assert "\n" not in warning
    workers.begin(Start(battle, battle_seeds(2, battle)) for battle in lost)
    choose_first(workers, records)
    again = workers.exchange()
    assert set(again["battle"]) == set(range(workers.num_battles))
    assert (again["flags"] & LOST == 0).all()


def test_a_worker_that_dies_is_replaced(caplog):
    with BattleWorkers("gen1randombattle", num_battles=4, num_workers=2) as workers:
        records = start_all(workers, 1)
        choose_first(workers, records)
        victim = workers.pids[0]
        os.kill(victim, signal.SIGKILL)
        records = workers.exchange()
        assert_it_goes_on(workers, records, [0, 1], caplog, "worker 0 died of SIGKILL")
        assert victim not in workers.pids


def test_a_worker_that_hangs_is_replaced(caplog):
    with BattleWorkers("gen1randombattle", num_battles=2, num_workers=1) as workers:
        records = start_all(workers, 1)
        choose_first(workers, records)
        os.kill(workers.pids[0], signal.SIGSTOP)
        workers.timeout_seconds = 0.0
        records = workers.exchange()
        workers.timeout_seconds = 60.0
        assert_it_goes_on(workers, records, [0, 1], caplog, "worker 0 did not answer for 0 seconds")


@pytest.mark.parametrize(
    ("looks", "hangs"),
    [
        ([(59, 59)], False),
        ([(60, 60)], True),
        ([(61, 4)], False),  # others have the processor
        ([(61, 4), (116, 58)], False),
        ([(61, 4), (117, 60)], True),
        ([(61, 4), (117, 30), (147, 59), (148, 60)], True),
        ([(n, 0) for n in range(60, 600, 60)], False),
        ([(n, 0) for n in range(60, 601, 60)], True),  # it stands still
        ([(700, 1)], True),
    ],
)
def test_on_a_busy_machine_a_worker_does_not_hang(monkeypatch, looks, hangs):
    """Each look is a time by the clock and the worker's own; before the last one it does not hang."""
    now, used = 1000.0, 30.0
    monkeypatch.setattr(process.time, "monotonic", lambda: now)
    monkeypatch.setattr(WorkerProcess, "_processor_seconds", lambda self: used)
    worker = object.__new__(WorkerProcess)
    worker.expect(60.0)
    for n, (clock, own) in enumerate(looks):
        now, used = 1000.0 + clock, 30.0 + own
        assert worker.hangs() == (hangs and n == len(looks) - 1)
        assert worker.deadline <= 1000.0 + 600


def test_a_worker_that_writes_garbage_is_replaced(caplog, tmp_path, monkeypatch):
    node = tmp_path / "node"
    node.write_text(GARBAGE)
    node.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(process, "find_node", lambda: node)
        workers = BattleWorkers("gen1randombattle", num_battles=2, num_workers=1)
    with workers:
        assert caplog.messages == ["not accelerated: x"]  # a worker's notes are said once
        caplog.clear()
        records = start_all(workers, 1)
        assert_it_goes_on(workers, records, [0, 1], caplog, "worker 0 wrote garbage")


def test_an_error_in_a_battle_costs_that_battle_alone(caplog):
    with BattleWorkers("gen1randombattle", num_battles=3, num_workers=1) as workers:
        pids = workers.pids
        starts = [Start(i, battle_seeds(1, i)) for i in range(3)]
        broken = [Start(i, battle_seeds(1, i), replay=((0, 25),)) for i in range(3)]
        workers.begin([starts[0], broken[1], starts[2]])
        records = workers.exchange()
        flags = {(int(r["battle"]), int(r["seat"])): int(r["flags"]) for r in records}
        assert flags == {
            (battle, seat): LOST if battle == 1 else ASKED for battle in range(3) for seat in (0, 1)
        }
        (warning,) = caplog.messages
        assert warning.startswith("battle 1 is lost: Error: p1 may not choose 25 (at ")
        workers.begin(broken)  # the same again is counted, not said
        assert (workers.exchange()["flags"] == LOST).all()
        assert len(caplog.messages) == 1
        assert workers.num_lost == 4
        workers.begin(starts)
        assert (workers.exchange()["flags"] == ASKED).all()
        assert workers.pids == pids


def test_a_worker_that_cannot_start_is_one_line(tmp_path, monkeypatch):
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho 'Error: no memory' >&2\nexit 3\n")
    node.chmod(0o755)
    monkeypatch.setattr(process, "find_node", lambda: node)
    with pytest.raises(ShowdownError, match=r"^a battle worker did not start: .*Error: no memory$"):
        BattleWorkers("gen1randombattle", num_battles=2, num_workers=2)


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("POKE_SHOWDOWN_DIR", str(tmp_path))
    with pytest.raises(ShowdownError, match=r"is not installed in .*: run `python -m"):
        BattleWorkers("gen1randombattle", num_battles=2, num_workers=2)


def test_no_worker_outlives_a_killed_parent():
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_workers_faults import BattleWorkers, choose_first, start_all\n"
        "with BattleWorkers('gen1randombattle', num_battles=8, num_workers=2) as workers:\n"
        "    records = start_all(workers, 1)\n"
        "    print(*workers.pids, flush=True)\n"
        "    while True:\n"
        "        choose_first(workers, records)\n"
        "        records = workers.exchange()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    watches = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(watches) == 2
    parent.kill()
    parent.communicate()
    for watch in watches:
        assert select.select([watch], [], [], 20)[0], "a worker outlived its parent"
        os.close(watch)


@pytest.mark.slow
def test_nothing_is_left_of_fifty_workers():
    before = psutil.Process().num_fds()
    for _ in range(50):
        WorkerProcess({"mode": "lines"}).close()
    assert [child for child in psutil.Process().children() if "main.js" in str(child)] == []
    assert [c.pid for c in psutil.Process().children() if c.status() == psutil.STATUS_ZOMBIE] == []
    assert psutil.Process().num_fds() == before


def test_pipes_that_do_not_block_are_waited_for():
    """A parent may hand down pipes that answer EAGAIN."""
    (its_input, our_output), (our_input, its_output) = os.pipe(), os.pipe()
    for pipe in (its_input, its_output):
        os.set_blocking(pipe, False)
    main = Path(showdown.__file__).parent / "worker" / "main.js"
    node = subprocess.Popen(
        [str(find_node()), str(main), str(find_package())], stdin=its_input, stdout=its_output
    )
    os.close(its_input), os.close(its_output)
    settings = process.first_settings({"mode": "lines"}, generation=9)
    frames = [(b"S", settings)]
    for number in range(40):  # more answers than a pipe holds
        frames.append((b"O", {"battle": number, "format": "gen1", "player": "p1"}))
        frames.append((b"D", {"battle": number, "lines": []}))
    frames.append((b"C", {"battle": 0, "lines": [], "action": 0}))
    with open(our_output, "wb") as out:
        for kind, payload in frames:
            text = kind + json.dumps(payload).encode()
            out.write(struct.pack("<I", len(text)) + text)
    with open(our_input, "rb") as arrived:
        said = arrived.read()
    assert node.wait() == 0
    kinds = []
    while said:
        (length,) = struct.unpack_from("<I", said)
        kinds.append(said[4:5])
        said = said[4 + length :]
    assert kinds == [b"O", b"D"] * 40 + [b"E"]


def test_closing_twice_is_closing_once():
    workers = BattleWorkers("gen1randombattle", num_battles=1, num_workers=1)
    (pid,) = workers.pids
    workers.close()
    workers.close()
    assert not psutil.pid_exists(pid)
    assert workers.pids == []
