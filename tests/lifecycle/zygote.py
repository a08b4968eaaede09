"""A process that has imported all there is to import and forks for every command: a start without torch's seconds.

It reads requests as JSON, a line each, and answers so: {"start": {...}} with the child's pid, {"wait": pid} with its
exit status, negative after a signal nobody handled.
"""

import contextlib
import json
import os
import resource
import signal
import sys
import traceback

import torch

from poke.run import experiment  # noqa: F401  (what a run imports)
from poke.run.signals import guard_the_door
from poke.train import main
from poke.training.checkpointing import writer


def child(arguments: list[str], cwd: str, output: str, file_limit: int, stdout: str | None) -> None:
    guard_the_door()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.setpgid(0, 0)
    writer.RETRY_SECONDS = writer.LAST_RETRY_SECONDS = (0.0,)
    os.chdir(cwd)
    sys.path.insert(0, cwd)  # as `python -m` does
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(stdout, os.O_WRONLY) if stdout else file, 1)
    os.dup2(file, 2)
    if file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    status = 99
    try:
        status = main(arguments)
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(status)


def serve() -> None:
    torch.set_num_threads(1)
    # A signal must find a child's own handlers, however soon it comes.
    signal.pthread_sigmask(
        signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]
    )
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer = os.fork()
            if answer == 0:
                child(**request["start"])
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        print(json.dumps(answer), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    serve()
