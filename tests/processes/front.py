"""Stands for `python` on a shell's path: has the zygote run what it is called with, and ends as that does.

    front.py SOCKET -m MODULE ... | FILE ...

Imports little, since it is started for every command.
"""

import json
import os
import signal
import socket
import sys


def ask(address, arguments, cwd, env, descriptors, prelude=""):
    """Have the zygote start a command.

    Args:
        address: the zygote's socket.
        arguments: what would come after `python`: `-m MODULE ...` or `FILE ...`.
        cwd: its working directory.
        env: all of its environment.
        descriptors: its stdin, stdout and stderr.
        prelude: source that the child runs first, before any signal reaches it.

    Returns:
        The child's pid, and the socket on which its exit status comes, negative after a signal nobody handled.
    """
    request = {"arguments": arguments, "cwd": cwd, "env": env, "prelude": prelude}
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    socket.send_fds(connection, [b"\n"], descriptors)
    connection.sendall(json.dumps(request).encode() + b"\n")
    return hear(connection), connection


def hear(connection):
    """Return the next number the zygote says."""
    said = connection.recv(4)
    if not said:
        raise ChildProcessError("the process that commands are forked from is gone")
    return int.from_bytes(said, sys.byteorder, signed=True)


def main():
    address, *arguments = sys.argv[1:]
    _, connection = ask(address, arguments, os.getcwd(), dict(os.environ), [0, 1, 2])
    status = hear(connection)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
