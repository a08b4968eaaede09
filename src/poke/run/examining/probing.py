"""Whether torch and what a run imports can be imported, and what torch finds: asked of a process of its own.

What is broken in compiled code ends the process that imports it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from poke.run.examining.findings import BROKEN, MISSING, OK, Finding
from poke.run.examining.packages import torch_wanted

_SECONDS = 300  # a start on a network disk that nothing has read yet takes long
_FIRST = "mend first what is broken above"
_PROBE = """
import json
def tell(**told):
    print("poke:" + json.dumps(told), flush=True)
import torch
tell(version=torch.__version__, cuda=torch.version.cuda, threads=torch.get_num_threads())
import poke.train, poke.run.experiment
tell(imported=True)
devices = []
if torch.cuda.is_available():
    for number in range(torch.cuda.device_count()):
        devices.append(torch.cuda.get_device_name(number))
        (torch.ones(2, device=f"cuda:{number}") + 1).sum().item()  # its kernels may be for others
tell(devices=devices)
"""


def probe() -> dict[str, Any]:
    """Return what the other process told before it ended: version, cuda, threads, imported, devices.

    Returns:
        As far as it came; `error` is one line on why it came no further.
    """
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"importing takes more than {_SECONDS} s"}
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("poke:"):
            found |= json.loads(line.removeprefix("poke:"))
    if done.returncode < 0:
        found["error"] = f"the process that imports it was ended by signal {-done.returncode}"
    elif done.returncode:
        said = re.findall(r"^[\w.]+(?:Error|Exception|Exit)\b.*", done.stderr, re.MULTILINE)
        found["error"] = said[-1] if said else f"exit status {done.returncode}"
    return found


def look_at_torch(found: Mapping[str, Any]) -> Finding:
    """Find whether torch can be imported and is a version that poke is made for.

    Args:
        found: what `probe` returned.
    """
    from packaging.specifiers import SpecifierSet

    wanted = torch_wanted()
    advice = f"pip install 'torch{wanted}'"
    if "version" not in found:
        return Finding("torch", BROKEN, found["error"], advice, needed=True)
    version = found["version"]
    if not SpecifierSet(wanted).contains(version, prereleases=True):
        text = f"{version}: poke is made for {wanted}"
        return Finding("torch", BROKEN, text, advice, needed=True)
    build = f"built for CUDA {found['cuda']}" if found["cuda"] else "built for processors only"
    return Finding("torch", OK, f"{version}, {build}", needed=True)


def look_at_imports(found: Mapping[str, Any]) -> Finding:
    """Find whether what a run imports can be imported.

    Args:
        found: what `probe` returned.
    """
    if "imported" in found:
        return Finding("imports", OK, "what a run imports", needed=True)
    if "version" not in found:
        return Finding("imports", BROKEN, "torch comes before all others", _FIRST, needed=True)
    advice = "what it names, anew: pip install --force-reinstall PACKAGE"
    return Finding("imports", BROKEN, found["error"], advice, needed=True)


def look_at_gpu(found: Mapping[str, Any]) -> Finding:
    """Find whether torch can use a GPU; where it cannot, runs take the processor.

    Args:
        found: what `probe` returned.
    """
    on_processor = "runs take the processor"
    if "imported" not in found:
        return Finding("gpu", MISSING, "torch, which would find it, was not asked", _FIRST)
    if "devices" not in found:
        return Finding("gpu", BROKEN, found["error"], "device=cpu does without it", needed=True)
    if found["devices"]:
        return Finding("gpu", OK, ", ".join(found["devices"]))
    if found["cuda"] is None:
        advice = f'{on_processor}; the docs begin with "Choosing another torch"'
        return Finding("gpu", MISSING, "this torch is built for processors only", advice)
    return Finding("gpu", MISSING, "torch finds none", on_processor)


def look_at_cores(found: Mapping[str, Any]) -> Finding:
    """Find how many cores this process may use, and how many threads torch would take by itself.

    Args:
        found: what `probe` returned.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{usable} usable of {os.cpu_count()}"
    if "threads" in found:
        text += f"; torch would take {found['threads']}, a run torch_threads=1"
    return Finding("cores", OK, text)
