"""What `poke-compare report --live` costs while runs write and a browser asks: its share of one core.

`python benchmarks/live_report.py [--finished 1000] [--running 20] [--seconds 60]`
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import psutil
from run_directories import NUM_COLUMNS, generate

ASK_SECONDS = 2.0  # as the page does
ROW_SECONDS = 1.0  # between rows of a run that writes


def main() -> None:
    """Generate the finished runs and follow them and some that write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--finished", type=int, default=1000)
    parser.add_argument("--running", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="poke-live-") as folder:
        generate(Path(folder, "runs"), options.finished, 1000)
        follow(Path(folder, "runs"), options.running, options.seconds)


def follow(root: Path, num_running: int = 20, seconds: float = 60.0) -> None:
    """Measure the server's processor time after its first look, while runs in ``root`` write and a browser asks."""
    generate(root / "at_work", num_running, 500)
    running = sorted((root / "at_work/2026-03-01").iterdir())
    for directory in running:
        account = json.loads((directory / "run.json").read_text())
        now = datetime.now(UTC).isoformat()
        account |= {"status": "running", "started": now, "ended": None, "host": "elsewhere"}
        (directory / "run.json").write_text(json.dumps(account))
    command = [sys.executable, "-m", "poke.compare", "report", str(root), "--live"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().split()[0]
            urllib.request.urlopen(url).read()
            used, elapsed, news = watch(server.pid, url, running, seconds)
        finally:
            server.terminate()
    name = f"report --live, {num_running} runs at work"
    print(f"{name:36s} {used / elapsed:8.3f}    target <= 0.05 of a core   ({news} times news)")


def watch(pid: int, url: str, running: list[Path], seconds: float) -> tuple[float, float, int]:
    """Return the processor time that a server used, how long that took, and how often it had news."""
    process = psutil.Process(pid)
    before, begun, asked, news = sum(process.cpu_times()[:2]), time.monotonic(), 0.0, 0
    step, version = 50_000, -1
    while (now := time.monotonic()) < begun + seconds:
        step += 100
        for directory in running:
            with open(directory / "metrics.csv", "a") as file:
                stamp = datetime.now(UTC).isoformat()
                file.write(f"{step},{stamp}" + f",{1 / step!r}" * (NUM_COLUMNS - 2) + "\n")
        if now >= asked + ASK_SECONDS:
            asked = now
            with urllib.request.urlopen(f"{url}data?version={version}") as answer:
                if answer.status == 200:
                    version = json.load(answer)["version"]
                    news += 1
        time.sleep(ROW_SECONDS)
    return sum(process.cpu_times()[:2]) - before, time.monotonic() - begun, news


if __name__ == "__main__":
    main()
