"""A process that has imported what takes long and forks for every command: a start without torch's seconds.

    zygote.py SOCKET [MODULE ...]

The modules are imported besides torch and what poke's commands import.

Each connection is one command, asked for as `front.ask` says. What it becomes is `python` as it would be if it had
just been started: its own environment, descriptors, signals and `__main__`, and the interpreter's own end. It ends
with its stdin.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import types
from dataclasses import dataclass

sys.path.pop(0)  # this folder: no command has it there

shared: dict[str, types.ModuleType] = {}  # what a child has of this process


@atexit.register  # before anything that is imported registers something, and so called last
def leave_what_is_shared():
    """Have Python's end take apart what a command loaded by itself, and not what was there before the fork."""
    for name, module in shared.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


import gymnasium  # noqa: F401  (before torch: what filters warnings last is as it is where torch alone is imported)
import numpy
import torch

from poke.config.composing import compose

# What most runs import, their parts included.
PARTS = (
    *("pyarrow.csv", "pyarrow.parquet", "gymnasium.envs.classic_control"),
    *("torch.utils.serialization.config", "poke.run.experiment", "poke.run.life", "poke.sweep.run"),
    *("poke.algorithms.bc", "poke.algorithms.ppo", "poke.data.demonstrations"),
    *("poke.data.files.mapped", "poke.data.rollout", "poke.envs.evaluation", "poke.envs.gym"),
    *("poke.networks.auto", "poke.training.writers.files.csv"),
)
for part in PARTS:
    importlib.import_module(part)
DOORS = ("train", "record", "compare", "verify", "export", "checkpoints")
for door in DOORS:
    importlib.import_module(f"poke.{door}")
    del sys.modules[f"poke.{door}"]  # `-m` imports it anew, as `__main__`

# Hydra's grammars become quick as they read.
compose(
    "train", ["algo=ppo", "data.num_steps=32", "network.hidden_sizes=[8]", "hydra.run.dir='a b'"]
)

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@dataclass
class Request:
    """A command, as `front.ask` describes it."""

    arguments: list[str]
    cwd: str
    env: dict[str, str]
    prelude: str
    descriptors: list[int]


def receive(connection):
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as lines:
        return Request(**json.loads(lines.readline()), descriptors=descriptors)


def serve(listener):
    """Fork for every request; return it in the child, None where nobody asks any more."""
    bell, rung = socket.socketpair()
    rung.setblocking(False)
    signal.set_wakeup_fd(rung.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asking = {}  # who waits for which pid
    with bell, rung, selectors.DefaultSelector() as selector:
        for source in (sys.stdin, listener, bell):
            selector.register(source, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if bell in ready:
                bell.recv(4096)
                for pid, status in ended():
                    with asking.pop(pid) as connection:
                        answer(connection, status)
            if listener in ready:
                connection, _ = listener.accept()
                request = receive(connection)
                pid = os.fork()
                if pid == 0:
                    for mine in (connection, *asking.values()):
                        mine.close()
                    return request
                asking[pid] = connection
                for descriptor in request.descriptors:
                    os.close(descriptor)
                answer(connection, pid)
            if sys.stdin in ready:
                return None


def ended():
    """Yield pid and exit status of each child that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def answer(connection, number):
    with contextlib.suppress(BrokenPipeError):  # who asked is gone
        connection.sendall(number.to_bytes(4, sys.byteorder, signed=True))


def spare_the_end():
    """Have nothing taken apart that was loaded before the fork, which would take a third of a command's time.

    Python ends as ever; where C would begin with what was there before, the process ends.
    """
    shared.update(sys.modules)
    for own in ("sys", "builtins", "__main__"):
        del shared[own]
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(shared))  # whoever lets go of it, it stays
    c = ctypes.CDLL(None)
    if not hasattr(c, "on_exit"):
        return  # it is glibc's
    c.on_exit(c._exit, None)  # with the status: what was registered before is not called any more
    c.__cxa_atexit(c.fflush, None, None)  # called before that


def become(request):
    """Turn a child of this process into `python` with a request's arguments, and run them."""
    spare_the_end()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, descriptor in enumerate(request.descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request.cwd)
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    os.environ.clear()
    os.environ.update(request.env)
    given = os.environ.get("PYTHONPATH", "")
    after = [path or request.cwd for path in given.split(os.pathsep)] if given else []
    sys.orig_argv = ["python", *request.arguments]
    sys.path[:] = after + [path for path in sys.path if path not in before]
    numpy.random.seed()  # as every start draws another
    torch.seed()
    exec(request.prelude, {})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
    if request.arguments[0] == "-m":
        sys.argv = request.arguments[1:]
        sys.path.insert(0, request.cwd)
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = request.arguments
        run_script(sys.argv[0])


def run_script(file):
    """Run a script as `python FILE` does, which `runpy.run_path` does not quite."""
    path = os.path.abspath(file)
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = path
    with open(path, "rb") as source:
        code = compile(source.read(), path, "exec")
    exec(code, main.__dict__)


if __name__ == "__main__":
    # A signal must find a child's own handlers, however soon it comes, and is not for this process.
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    with socket.socket(socket.AF_UNIX) as listening:
        address, *modules = sys.argv[1:]
        for module in modules:
            importlib.import_module(module)
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        gc.freeze()  # what all children share is not for each of them to look through
        command = serve(listening)  # closed in the child, too
    if command is not None:
        become(command)
