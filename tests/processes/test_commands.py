"""A forked command is what a started one is."""

import os
import signal
import subprocess
import sys

import pytest

TELL = """
import json, os, signal, sys
import torch
from hydra.core.global_hydra import GlobalHydra

print(json.dumps({
    "argv": sys.argv,
    "cwd": os.getcwd(),
    "path": [p for p in sys.path],
    "name": [__name__, sys.modules["__main__"].__name__, __spec__ and __spec__.name],
    "file": __file__,
    "env": {k: v for k, v in sorted(os.environ.items()) if k not in ("PWD", "SHLVL", "_")},
    "stdin": [sys.stdin.read(), sys.stdin.isatty()],
    "buffered": [sys.stdout.line_buffering, sys.stderr.line_buffering, sys.stdout.encoding],
    "signals": [str(signal.getsignal(n)) for n in (2, 15, 1, 10, signal.SIGCHLD, signal.SIGPIPE)],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "threads": torch.get_num_threads(),
    "gc": __import__("gc").isenabled(),
    "hydra": GlobalHydra.instance().is_initialized(),
    "warned": __import__("warnings").filters[0][0],
}, default=str))
"""

ENDS = {
    "pass": 0,
    "import sys; sys.exit(7)": 7,
    "import sys; sys.exit()": 0,
    "import sys; sys.exit('a word')": 1,
    "raise ValueError('no')": 1,
    "import os; os.abort()": -signal.SIGABRT,
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": -signal.SIGKILL,
    "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(60)": -2,
    "import atexit; atexit.register(print, 'late')": 0,
    "import threading; threading.Thread(target=print, args=('thread',)).start()": 0,
    "import sys; print('out'); print('err', file=sys.stderr); sys.stdout.close()": 0,
    "import os, signal; signal.signal(15, lambda *_: os._exit(3)); os.kill(os.getpid(), 15)": 3,
}


@pytest.fixture
def both(zygote, tmp_path):
    """Runs python with some arguments, forked and started anew; returns exit status and output of each."""
    env = {
        **os.environ,
        "PYTHONWARNINGS": "default",
        "PYTHONPATH": str(tmp_path / "more"),
        "A": "1",
    }
    env["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")

    def run(*arguments):
        forked = zygote.start(*arguments, cwd=tmp_path, env=env)
        started = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path, env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        return [
            (*process.communicate(timeout=120), process.returncode) for process in (forked, started)
        ]

    return run


@pytest.mark.parametrize("arguments", [("-m", "tell", "a", "b c"), ("folder/tell.py", "a", "")])
def test_it_finds_itself_where_a_started_one_does(both, tmp_path, arguments):
    (tmp_path / "folder").mkdir()
    for place in ("tell.py", "folder/tell.py"):
        (tmp_path / place).write_text(TELL)
    forked, started = both(*arguments)
    assert forked == started
    assert forked[1:] == ("", 0)


@pytest.mark.parametrize("script", ENDS)
def test_it_ends_as_a_started_one_does(both, tmp_path, script):
    (tmp_path / "ends.py").write_text(script)
    forked, started = both("ends.py")
    assert forked[0] == started[0]
    assert forked[1].splitlines()[-1:] == started[1].splitlines()[-1:]
    assert forked[2] == started[2] == ENDS[script]


def test_each_draws_other_numbers_as_each_start_does(zygote, tmp_path):
    draw = (
        "import numpy, random, torch; print(random.random(), numpy.random.random(), torch.rand(1))"
    )
    (tmp_path / "draw.py").write_text(draw)
    said = [
        zygote.start("draw.py", cwd=tmp_path, env=os.environ).communicate(timeout=60)[0]
        for _ in range(2)
    ]
    assert all(a != b for a, b in zip(*(line.split() for line in said), strict=True))


def test_several_at_once_end_on_their_own(zygote, tmp_path):
    (tmp_path / "wait.py").write_text("import os, sys; os.read(os.open(sys.argv[1], 0), 1)")
    pipes = [str(tmp_path / name) for name in "ab"]
    for pipe in pipes:
        os.mkfifo(pipe)
    first, second = (zygote.start("wait.py", p, cwd=tmp_path, env=os.environ) for p in pipes)
    assert first.pid != second.pid
    assert first.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(timeout=0)
    open(pipes[1], "w").close()
    assert second.communicate(timeout=60) == ("", "")
    assert second.returncode == 0
    first.terminate()
    assert first.communicate(timeout=60) == ("", "")
    assert first.returncode == -signal.SIGTERM
    first.kill()  # to one that has ended is to nobody
    assert first.returncode == -signal.SIGTERM


def test_a_prelude_runs_before_any_signal_comes(zygote, tmp_path):
    (tmp_path / "nothing.py").write_text("import time; time.sleep(60)")
    prelude = (
        "import signal, os; signal.signal(15, lambda *_: os._exit(5)); os.kill(os.getpid(), 15)"
    )
    command = zygote.start("nothing.py", cwd=tmp_path, env=os.environ, prelude=prelude)
    assert command.communicate(timeout=60) == ("", "")
    assert command.returncode == 5


@pytest.mark.parametrize(
    "script", ["import sys; sys.exit(7)", "import os; os.kill(os.getpid(), 15)"]
)
def test_a_shell_finds_it_as_python(zygote, tmp_path, script):
    zygote.write_python(tmp_path)
    (tmp_path / "ends.py").write_text(script)
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    shell = "echo word | python -c 'print(input())' && python ends.py; echo $?"
    said = subprocess.run(shell, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert said.stdout.split() == ["word", "7" if "exit" in script else "143"]
