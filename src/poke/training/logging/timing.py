"""Where a run's time goes, and how fast it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

SECTIONS = ("data", "update", "eval", "checkpoint", "log", "other")


class StepTimer:
    """Attributes all time to sections and reports rates, as a probe of `MetricsLogger`.

    Switching to a section costs one clock reading; time before the first switch goes to `other`.

    Args:
        clock: returns seconds; never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._process = psutil.Process()
        self._seconds = dict.fromkeys(SECTIONS, 0.0)
        self._section = "other"
        self._since = self._began = clock()
        self._num_steps = 0
        self._num_samples = 0

    def switch(self, section: str) -> None:
        """End the present section and begin another, one of `SECTIONS`.

        Raises:
            ValueError: there is no such section.
        """
        if section not in self._seconds:
            raise ValueError(f"a section is one of {', '.join(SECTIONS)}, not {section!r}")
        now = self._clock()
        self._seconds[self._section] += now - self._since
        self._section = section
        self._since = now

    def count(self, num_steps: int, num_samples: int) -> None:
        """Note steps made and samples used."""
        self._num_steps += num_steps
        self._num_samples += num_samples

    def __call__(self) -> dict[str, dict[str, float]]:
        """Return what happened since the last call, in the categories `time` and `system`."""
        self.switch(self._section)
        elapsed = self._since - self._began
        if elapsed <= 0:
            return {}
        times = {
            "steps_per_second": self._num_steps / elapsed,
            "samples_per_second": self._num_samples / elapsed,
        }
        for section, seconds in self._seconds.items():
            times[f"{section}_fraction"] = seconds / elapsed
        self._seconds = dict.fromkeys(SECTIONS, 0.0)
        self._began = self._since
        self._num_steps = self._num_samples = 0
        return {"time": times, "system": self._memory()}

    def _memory(self) -> dict[str, float]:
        memory = {"process_memory_bytes": float(self._process.memory_info().rss)}
        torch: Any = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
            memory["gpu_memory_bytes"] = float(torch.cuda.memory_allocated())
            memory["gpu_memory_peak_bytes"] = float(torch.cuda.max_memory_allocated())
        return memory
