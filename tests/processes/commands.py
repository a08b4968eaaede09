"""Commands of `python`, forked from a process that has imported torch already instead of started anew."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

from .front import ask, hear

HERE = Path(__file__).parent


class Command:
    """A command under way, to be used as a `subprocess.Popen` whose output is text."""

    def __init__(self, args, pid, connection, stdout, stderr):
        self.args = args
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.returncode = None
        self._connection = connection

    def poll(self):
        try:
            return self.wait(timeout=0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout=None):
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = hear(self._connection)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout) from None
            self._connection.close()
        return self.returncode

    def communicate(self, timeout=None):
        """Wait for the end; return what stood in both pipes, None where there is none."""
        said = {}

        def read(stream):
            said[stream] = stream.read()
            stream.close()

        streams = [s for s in (self.stdout, self.stderr) if s is not None and not s.closed]
        readers = [threading.Thread(target=read, args=(s,), daemon=True) for s in streams]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        return said.get(self.stdout), said.get(self.stderr)

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The process that commands are forked from.

    A command is a process like any started anew, but for what is the start's own: warnings filters, the hash seed and
    the size of OpenMP's pool are the zygote's, and torch is imported. What is about that, starts python itself.

    Args:
        modules: names of what is to be imported besides torch.
    """

    def __init__(self, modules=()):
        self._modules = modules
        self._folder = tempfile.TemporaryDirectory(prefix="poke-")  # a socket's path must be short
        self.address = str(Path(self._folder.name, "zygote"))

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py"), self.address, *self._modules],
            env={**os.environ, "PYTHONWARNINGS": "default"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout.readline() == b"ready\n"
        self.write_python(self._folder.name)
        # Run first by a command, has what it starts by `sys.executable -m poke...` forked, too.
        self.forks_on = f"import sys; sys.executable = {str(Path(self._folder.name, 'python'))!r}"
        return self

    def __exit__(self, *_):
        self._process.communicate(timeout=300)
        self._folder.cleanup()

    def run(self, *arguments, cwd, env=None, timeout=300):
        """Run a command to its end; return its status and output as `subprocess.run` does."""
        command = self.start(*arguments, cwd=cwd, env=env)
        said = command.communicate(timeout)
        return subprocess.CompletedProcess(command.args, command.returncode, *said)

    def start(self, *arguments, cwd, env=None, output=None, stdout=None, prelude=""):
        """Start a command.

        Args:
            arguments: what would come after `python`: `-m MODULE ...` or `FILE ...`.
            cwd: its working directory.
            env: all of its environment, by default that of the tests.
            output: an open file that stdout and stderr go to; without it they are pipes to be read.
            stdout: an open file that stdout alone goes to.
            prelude: source that the child runs first, before any signal reaches it.
        """
        arguments = [str(argument) for argument in arguments]
        with ExitStack() as ours:
            nothing = ours.enter_context(open(os.devnull, "rb"))
            pipes = []
            ends = []
            for given in (stdout or output, output):
                if given is None:
                    reading, writing = os.pipe()
                    ours.callback(os.close, writing)
                    pipes.append(os.fdopen(reading, encoding="utf-8"))
                    ends.append(writing)
                else:
                    pipes.append(None)
                    ends.append(given.fileno())
            pid, connection = ask(
                self.address,
                arguments,
                str(cwd),
                dict(env or os.environ),
                [nothing.fileno(), *ends],
                prelude,
            )
        return Command(["python", *arguments], pid, connection, *pipes)

    def write_python(self, folder):
        """Write a program `python` for a shell's path, whose scripts and modules of poke are forked."""
        path = Path(folder, "python")
        started = f'exec "{sys.executable}" "$@"'
        forked = f'exec "{sys.executable}" -S -E "{HERE / "front.py"}" "{self.address}" "$@"'
        path.write_text(
            f'#!/bin/sh\ncase "$1 $2" in\n"-m poke."* | [!-]*) {forked} ;;\n*) {started} ;;\nesac\n'
        )
        path.chmod(0o755)
