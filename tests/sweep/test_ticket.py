import dataclasses
import os
import subprocess
import sys

from poke.sweep.ticket import Ticket, issued


def test_a_job_may_run_until_the_ticket_is_withdrawn(tmp_path):
    with issued(tmp_path, jobs_outlive_sweep=False) as ticket:
        assert ticket.why_stop() is None
        assert ticket.is_own_process()
    assert ticket.why_stop() == "the sweep was stopped"
    assert not list(tmp_path.iterdir())


def test_a_later_start_makes_earlier_tickets_void_and_is_not_stopped_by_them(tmp_path):
    earlier = Ticket.issue(tmp_path, jobs_outlive_sweep=False)
    later = Ticket.issue(tmp_path, jobs_outlive_sweep=False)
    assert earlier.why_stop() == "the sweep was stopped"
    earlier.withdraw()
    assert later.why_stop() is None


def test_jobs_stop_when_the_sweeps_process_is_gone_unless_they_are_the_clusters(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ticket = Ticket.issue(tmp_path, jobs_outlive_sweep=False)
    import psutil

    born = psutil.Process(process.pid).create_time()
    theirs = dataclasses.replace(ticket, pid=process.pid, born=born)
    assert theirs.why_stop() is None
    assert not theirs.is_own_process()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
    assert theirs.why_stop() == "the sweep's process is gone"
    process.communicate()
    assert theirs.why_stop() == "the sweep's process is gone"
    assert dataclasses.replace(theirs, jobs_outlive_sweep=True).why_stop() is None


def test_a_process_id_that_is_used_again_is_not_the_sweep(tmp_path):
    ticket = Ticket.issue(tmp_path, jobs_outlive_sweep=False)
    reused = dataclasses.replace(ticket, born=ticket.born - 1)
    assert reused.why_stop() == "the sweep's process is gone"
