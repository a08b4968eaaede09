import dataclasses
import os
import subprocess
import sys

from filelock import FileLock

from poke.sweep.ticket import Ticket, issued


def test_a_job_may_run_until_the_ticket_is_withdrawn(tmp_path):
    with FileLock(tmp_path / ".lock"), issued(tmp_path, jobs_outlive_sweep=False) as ticket:
        assert ticket.why_stop() is None
        assert ticket.is_own_process()
    assert ticket.why_stop() == "the sweep was stopped"
    assert not list(tmp_path.glob("*.json"))


def test_a_later_start_makes_earlier_tickets_void_and_is_not_stopped_by_them(tmp_path):
    with FileLock(tmp_path / ".lock"):
        earlier = Ticket.issue(tmp_path, jobs_outlive_sweep=False)
        later = Ticket.issue(tmp_path, jobs_outlive_sweep=False)
        assert earlier.why_stop() == "the sweep was stopped"
        earlier.withdraw()
        assert later.why_stop() is None


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    input()
"""


def test_jobs_stop_when_the_sweeps_process_is_gone_unless_they_are_the_clusters(tmp_path):
    """Whether it lives is asked of the lock it holds: neither its number nor a clock can mislead."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    ticket = Ticket.issue(tmp_path, jobs_outlive_sweep=False)
    theirs = dataclasses.replace(ticket, pid=process.pid)
    assert theirs.why_stop() is None
    assert not theirs.is_own_process()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
    assert theirs.why_stop() == "the sweep's process is gone"
    process.communicate()
    assert theirs.why_stop() == "the sweep's process is gone"
    assert dataclasses.replace(theirs, jobs_outlive_sweep=True).why_stop() is None
