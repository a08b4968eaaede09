"""Every command of README, CONTRIBUTING, docs/ and `--help` is run as written, and prints what it is shown to.

A new command is run as it stands. If it takes long, or needs something that is not here, say so in the
tables below.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ..selecting import few
from .documentation import differences, read_help, read_sections

ROOT = Path(__file__).parents[2]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = [ROOT / "README.md", CONTRIBUTING, *sorted((ROOT / "docs").rglob("*.md"))]
RUN = "outputs/2026-01-31/12-00-00-a1b2"
BATTLES = Path(__file__).with_name("battles.parquet")
LOG = Path(__file__).parents[1] / "envs" / "showdown" / "replays" / "short.log"

# Commands that no test can run, and why; the first pattern that is found decides.
NOT_RUN = {
    r"pip install": "installs from a package index",
    r"^make ": "runs these tests, or installs",
    r"showdown observe FILE": "reads lines of a battle, as tests/envs/showdown/test_observing.py has it do",
    r"^tensorboard |report --live|--browser": "serves until it is stopped",
    r"poke\.play .*--server": "plays on somebody's server, as tests/envs/showdown/server does on one of its own",
    r"^python examples/showdown_bot": "plays on somebody's server, as tests/examples does on one of its own",
    r"^git clone|^\.venv/": "is for a clone with an environment of its own",
    r"^python -m pytest|^python tests/": "runs these tests, or rewrites a file of theirs",
    r"^python benchmarks/": "takes minutes to hours, alone on its machine",
}

# Commands that are run where what they need is there.
NEEDS = {
    r"hydra/sweeper=optuna": "optuna",
    r"examples/sweep_on_joblib": "joblib",
    r"poke\.record (?!.*(policy=(RUN_DIR|outputs/(2026|teacher|dqn))|--help))": "showdown",
    r"experiment=ppo_gen|poke\.play": "showdown",
}

# Smaller sizes for commands that take long; the first pattern that is found decides.
SHORTER = {
    r"poke\.train .*--(help|cfg)": [],
    r"poke\.train debug=fast": [],
    r"poke\.train -m sweep=lr algo=ppo ": ["trainer.max_steps=1024", "eval.episodes=2"],
    r"poke\.train -m sweep=lr .*seed=0,1 trainer\.max_steps=200": ["trainer.max_steps=20"],
    r"poke\.train -m sweep=lr ": [],
    r"poke\.train .*sweeper=optuna": ["hydra.sweeper.n_trials=2", "trainer.max_steps=4"],
    r"poke\.train -m ": ["trainer.max_steps=4"],
    r"poke\.train .*(resume|fork)=": ["trainer.max_steps=30"],
    r"poke\.train algo=dqn": ["trainer.max_steps=512", "eval.episodes=2"],
    r"poke\.train .*algo=ppo": ["trainer.max_steps=1024", "eval.episodes=2"],
    r"poke\.train .*eval=values": ["trainer.max_steps=20", "eval.fitted_updates=5"],
    r"poke\.train .*eval=episodes": ["trainer.max_steps=20", "eval.episodes=2"],
    r"poke\.train experiment=ppo_gen": [
        *("trainer.max_steps=256", "eval.battles=2", "env.num_envs=16", "data.num_steps=8"),
        "algo.minibatch_size=64",
    ],
    r"poke\.train": ["trainer.max_steps=20"],
    r"poke\.play .*--watch": [],
    r"poke\.play": ["--battles=2"],
    r"^python examples/sweep_on_joblib": ["trainer.max_steps=4", "seed=0,1"],
    r"^python examples/own_(algorithm|source|sink)": ["trainer.max_steps=20"],
    r"^python examples/(own|masked)": ["trainer.max_steps=512", "eval.episodes=2"],
    r"poke\.record show ": [],
    r"poke\.record .*battles=50": ["battles=2"],
    r"poke\.record .*policy=": ["episodes=20"],
    r"poke\.record .*replays=": [],
    r"poke\.record (?!--help)": ["battles=2"],
}

# What README shows of mistakes, and who makes them.
MISTAKES = {
    "poke: unknown key algo.lrr (did you mean algo.lr?)": "python -m poke.train algo.lrr=1e-3",
    "poke: algo.lr must be a number, not 'abc'": "python -m poke.train algo.lr=abc",
    "poke: logger.cli_frequency must be >= 0, not -5": "python -m poke.train logger.cli_frequency=-5",
}

# What has to be there before a command or python block in which the pattern is found; nothing is made twice.
PREPARED = {
    r"replays=logs": ("logs", f"mkdir logs && cp {LOG} logs"),
    r"^python examples/": ("examples", f"cp -r {ROOT}/examples examples"),
    r"policy=(RUN_DIR|outputs/2026)": (
        RUN,
        f"python -m poke.train algo=ppo trainer.max_steps=512 eval.episodes=1 hydra.run.dir={RUN}",
    ),
    r"policy=outputs/gen1|poke\.play .*outputs/gen1": (
        "outputs/gen1",
        f"python -m poke.train trainer.max_steps=20 data.path={BATTLES} hydra.run.dir=outputs/gen1",
    ),
    r"outputs/2026|RUN_DIR|=FILE": (
        RUN,
        "python -m poke.train trainer.max_steps=20 trainer.eval_every=10 checkpoint.save_every=10 "
        f"data.path={BATTLES} hydra.run.dir={RUN}",
    ),
    r"^poke-compare|^python -m poke.compare": (
        "multirun",
        "python -m poke.train -m sweep=lr algo.lr=1e-4,3e-4 seed=0,1 network=mlp trainer.max_steps=2 "
        f"network.hidden_sizes=[8] data.path={BATTLES}",
    ),
    r"(path=|read\(\")data/gen1\.parquet": (
        "data/gen1.parquet",
        f"mkdir -p data && cp {BATTLES} data/gen1.parquet",
    ),
}


class Reader:
    """Does what the documentation says, in a folder of its own.

    Args:
        cwd: the folder.
        store: folder of what was prepared before, by name.
    """

    def __init__(self, cwd, store):
        self.cwd = cwd
        self.store = store
        programs = store / "programs"
        self.env = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        self.env.pop("COLUMNS", None)

    def sh(self, command, expect=0):
        """Run a command line and return the lines that it printed."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, f"{command} exited with {done.returncode}\n{done.stdout}"
        return done.stdout.splitlines()

    def prepare(self, text):
        """Have there what a step needs."""
        for pattern, (place, command) in PREPARED.items():
            if not re.search(pattern, text) or (self.cwd / place).exists():
                continue
            kept = self.store / str(list(PREPARED).index(pattern))
            if not kept.exists():
                kept.mkdir()
                Reader(kept, self.store).sh(command)
            shutil.copytree(kept, self.cwd, dirs_exist_ok=True)

    def take(self, step):
        """Do a step of the documentation and compare what it prints."""
        if step.kind == "mistake":
            assert step.text in MISTAKES, f"line {step.line}: who makes this mistake? see MISTAKES"
            assert self.sh(MISTAKES[step.text], expect=2) == [step.text]
            return
        self.prepare(step.text)
        if step.kind == "config":
            (self.cwd / "config").mkdir(exist_ok=True)
            (self.cwd / "config" / "mine.yaml").write_text(
                f"defaults: [train, _self_]\n{step.text}\n"
            )
            command = "python -m poke.train --config-dir config --config-name mine"
            self.sh(self.as_run(command)[0])
            return
        if step.kind == "python":
            (self.cwd / "block.py").write_text(step.text)
            command, shortened = "python block.py", False
        else:
            command, shortened = self.as_run(step.text)
        printed = self.sh(command)
        if step.shown is not None:
            wrong = differences(step.shown, printed, another_size=shortened)
            assert not wrong, f"line {step.line}: {step.text}\n{wrong}"

    def as_run(self, command):
        """Return a command with its placeholders filled and its size reduced, and whether it was."""
        command = re.sub(r"\[(--[^\]]+)\]", r"\1", command)
        if "FILE" in command:
            files = sorted((self.cwd / RUN / "checkpoints").glob("checkpoint_*.pt"))
            command = command.replace(
                "RUN_DIR/checkpoints/FILE", str(files[0].relative_to(self.cwd))
            )
            command = command.replace("=FILE", f"={files[-1].relative_to(self.cwd)}")
        command = command.replace("RUN_DIR", RUN)
        runs = iter(sorted((self.cwd / "multirun").glob("*/*/run.json")))
        command = re.sub(r"\bRUN\b", lambda _: str(next(runs).parent), command)
        extra = next(
            (extra for pattern, extra in SHORTER.items() if re.search(pattern, command)), []
        )
        for override in extra:
            key = override.partition("=")[0]
            command, count = re.subn(rf"(?<=\s){re.escape(key)}=\S+", override, command)
            command += "" if count else f" {override}"
        return command, bool(extra)


def why_not(command):
    """Return why a command is not run, nothing where it is."""
    for pattern, reason in NOT_RUN.items():
        if re.search(pattern, command):
            return reason
    for pattern, what in NEEDS.items():
        if re.search(pattern, command) and not is_there(what):
            return f"needs {what}"
    return ""


def is_there(what):
    if what != "showdown":
        return importlib.util.find_spec(what) is not None
    if importlib.util.find_spec("poke_env") is None:
        return False
    from poke.envs.showdown.installation import ShowdownError, find_node, find_package

    try:
        return bool(find_node() and find_package())
    except ShowdownError:
        return False


SECTIONS = [
    pytest.param(
        section,
        id=f"{page.relative_to(ROOT).with_suffix('')}: {section.title}",
        marks=pytest.mark.slow if page == CONTRIBUTING or page.parent.name == "guides" else (),
    )
    for page in PAGES
    for section in read_sections(page.read_text(encoding="utf-8"))
]


@pytest.fixture(scope="module")
def store(tmp_path_factory, zygote):
    """A folder for what is prepared, with the programs a reader calls."""
    folder = tmp_path_factory.mktemp("prepared")
    programs = folder / "programs"
    programs.mkdir()
    zygote.write_python(programs)
    for door in ("train", "compare", "record"):
        program = programs / f"poke-{door}"
        program.write_text(f'#!/bin/sh\nexec "{programs / "python"}" -m poke.{door} "$@"\n')
        program.chmod(0o755)
    return folder


def take_all(steps, reader):
    left_out = []
    for step in steps:
        reason = why_not(step.text) if step.kind == "command" else ""
        if reason:
            left_out.append(f"{step.text}: {reason}")
        else:
            reader.take(step)
    if len(left_out) == len(steps):
        pytest.skip("; ".join(left_out))


@pytest.mark.parametrize("section", SECTIONS)
def test_page(section, tmp_path, store):
    take_all(section.steps, Reader(tmp_path, store))


def test_the_files_that_contributing_names_are_there():
    named = re.findall(r"`((?:src|tests|examples|conf|\.ci)/[\w./]+)`", CONTRIBUTING.read_text())
    assert len(named) > 5
    others = [
        name for name in named if not name.rpartition("/")[2].endswith(("mine.py", "mine.yaml"))
    ]
    assert [name for name in others if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("door", few(["train", "compare", "record"], "compare"))
def test_the_examples_of_help(door, tmp_path, store):
    reader = Reader(tmp_path, store)
    steps = read_help("\n".join(reader.sh(f"python -m poke.{door} --help")))
    assert len(steps) >= 3
    take_all(steps, reader)


def test_commands_of_every_shape_are_found():
    text = """
Prose with `python -m poke.train --help` and `algo=bc` in it.

## One

```sh
make test
python -m poke.train algo=bc \\
    seed=1                     # a comment
```

```
printed
```

## Two

Here is `poke-compare` in prose.

```
$ poke-compare
a line
$ frobnicate --now
```

Said of mistakes:

```
poke: no such thing
```

```python
print(1)   # [a list]
```

```yaml
seed: 1
```
"""
    found = [(s.title, t.kind, t.text, t.shown) for s in read_sections(text) for t in s.steps]
    assert found == [
        ("Beginning", "command", "python -m poke.train --help", None),
        ("One", "command", "make test", None),
        ("One", "command", "python -m poke.train algo=bc seed=1", ["printed"]),
        ("Two", "command", "poke-compare", ["a line"]),
        ("Two", "command", "frobnicate --now", []),
        ("Two", "mistake", "poke: no such thing", None),
        ("Two", "python", "print(1)   # [a list]", ["[a list]"]),
        ("Two", "config", "seed: 1", None),
        ("Two", "command", "poke-compare", None),
    ]
    with pytest.raises(ValueError, match="line 2: what is this block"):
        read_sections("```\nsomething else\n```")


def test_a_command_that_nobody_knows_fails(tmp_path, store):
    steps = read_sections("```sh\nfrobnicate --now\n```")[0].steps
    with pytest.raises(AssertionError, match="frobnicate --now exited with 127"):
        take_all(steps, Reader(tmp_path, store))
    with pytest.raises(AssertionError, match="who makes this mistake"):
        take_all(read_sections("```\npoke: no\n```")[0].steps, Reader(tmp_path, store))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("6 jobs (4 finished)", "6 jobs (4 finished)", True),
        ("6 jobs (4 finished)", "6 jobs (3 finished)", False),
        ("loss 0.25 at step 20", "loss 0.3 at step 20", True),
        ("loss 0.25 at step 20", "less 0.25 at step 20", False),
        ("0.003  3  <0.001", "0.001    3    0.004", True),
        ("2 settings: a=1, b...", "3 settings: a=1, bc=0.5", False),
        ("run a_0.1+seed_2-761cc1aa", "run a_0.1+seed_2-00000000", True),
        ("equal in all (2): a, b...", "equal in all (2): a, bc, d", True),
        ("one\n...\nthree", "one\ntwo\ntwo\nthree", True),
        ("one\n...\nthree", "one\ntwo", False),
        ("one", "one\ntwo", False),
    ],
)
def test_what_differs_and_what_does_not(shown, printed, same):
    found = differences(shown.splitlines(), printed.splitlines(), another_size=False)
    assert (found == "") == same
