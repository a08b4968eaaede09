"""A command of the user's own, run when something happens to a run that he would want to know. Imports no torch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poke.run.telling.messages import log, one_line

WAIT_SECONDS = 30.0  # for the command, once a run has ended


class Alert:
    """Runs a shell command with what happened in its environment.

    ``POKE_RUN_DIR`` is the run's directory, ``POKE_STATUS`` its status as in run.json, ``POKE_REASON`` why it ended,
    ``POKE_ERROR`` the error in one line, ``POKE_STEP`` where it is; what is not known is empty. Nothing it does raises
    or holds training up.

    Args:
        command: for the shell; None runs nothing.
        run_dir: the run's directory.
        wait_seconds: how long the command of a run that has ended may take.
    """

    def __init__(
        self, command: str | None, run_dir: Path, *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._command = command
        self._run_dir = run_dir
        self._wait_seconds = wait_seconds
        self._nonfinite: subprocess.Popen[bytes] | None = None
        self._has_told = False

    def nonfinite(self, name: str, step: int) -> None:
        """Tell, once a run, that a metric is NaN or infinite; the run goes on meanwhile."""
        if not self._has_told:
            self._has_told = True
            error = f"{name} is NaN or infinite"
            self._nonfinite = self._start({"status": "running", "step": step, "error": error})

    def ended(self, account: Mapping[str, Any]) -> None:
        """Tell how a run ended, and wait for the commands for a while.

        Args:
            account: the run's, as in run.json.
        """
        facts = {"reason": account.get("exit_reason"), **account}
        for process in (self._nonfinite, self._start(facts)):
            if process is not None:
                self._see_off(process)

    def _start(self, facts: Mapping[str, Any]) -> subprocess.Popen[bytes] | None:
        if self._command is None:
            return None
        told = {key: facts.get(key) for key in ("status", "reason", "error", "step")}
        told["run_dir"] = self._run_dir.absolute()
        environment = {
            f"POKE_{key.upper()}": "" if value is None else str(value)
            for key, value in told.items()
        }
        try:
            # A session of its own: the Ctrl-C that ended the run is not meant for it.
            return subprocess.Popen(
                self._command,
                shell=True,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            log.warning("logger.alert.command could not be run: %s", one_line(error))
            return None

    def _see_off(self, process: subprocess.Popen[bytes]) -> None:
        try:
            status = process.wait(self._wait_seconds)
        except subprocess.TimeoutExpired:
            message = "logger.alert.command goes on by itself: it took more than %g seconds"
            log.warning(message, self._wait_seconds)
            process.returncode = 0  # or its end as a zombie would be a warning of Python's
        else:
            if status:
                log.warning("logger.alert.command ended with exit status %d", status)
