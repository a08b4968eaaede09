"""Who may import whom, read from the imports themselves."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import poke

ROOT = Path(poke.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# A room, or a room within one, and what of poke it may import besides itself.
DOORS = {"train", "compare", "record", "play", "verify", "checkpoints", "export", "doctor"}
MAY_IMPORT = {
    "protocols": set(),
    "spaces": set(),
    "networks": {"protocols", "spaces"},
    "data": {"protocols", "spaces", "distributed.ranks", "distributed.moments"},
    # Of training, what reads checkpoints.
    "policies": {"protocols", "spaces", "networks", "training.checkpointing"},
    "algorithms": {"protocols", "spaces", "policies", "networks", "data", "distributed.ranks"},
    "envs": {"protocols", "spaces", "data", "distributed.ranks"},
    "distributed": set(),
    "training": {"protocols", "distributed.ranks"},
    "training.checkpointing": {"protocols", "training.rng"},
    "training.logging": {"protocols"},
    "training.writers": {"protocols"},
    "config": {
        "protocols",
        "envs.registration",
        "envs.showdown.formats",
        "envs.showdown.names",
    },
    "run": {
        *("protocols", "spaces", "policies", "networks", "data", "envs", "training", "config"),
        "distributed",
    },
    "sweep": {"run", "config"},
    "comparison": set(),
    "comparison.reading": {"comparison.errors"},
    "comparison.statistics": {"comparison.errors", "comparison.reading"},
    "comparison.showing": {
        "comparison.errors",
        "comparison.reading",
        "comparison.statistics",
    },
    "compare": {"comparison", "run.signals"},
    "checkpoints": {"run"},
    "export": {"config", "run"},
    "doctor": {"run.examining", "run.signals"},
    "train": {"config", "run", "sweep", "distributed.places"},
    "verify": {"config", "run"},
    "record": {"config", "run"},
    "play": {"run", "envs.showdown.names", "envs.showdown.server.places"},
}
MAY_COMPOSE = {"config", "run", "sweep"} | DOORS
# Of these rooms, all but the files that are named build and train.
FREE_OF_TORCH = {
    "protocols",
    "spaces",
    "config",
    "run",
    "sweep",
    "comparison",
    "training.logging",
} | DOORS
BUILDS = {
    "run.agent",
    "run.device",
    "run.experiment",
    "run.warmstart",
    "run.together",
    "run.afterwards",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache  # every test asks of every file
def imports(path: Path, *, lazily: bool) -> frozenset[str]:
    """Modules a file imports; without `lazily` only those imported when it is itself imported."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if (
                isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                and not lazily
            ):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                assert child.module
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            visit(child)

    visit(ast.parse(path.read_text()))
    return frozenset(found)


def within(module: str, rooms: Iterable[str]) -> bool:
    """Whether a module of poke is one of these rooms, or stands in one."""
    return module == "poke" or any(f"{module}.".startswith(f"poke.{room}.") for room in rooms)


def test_every_room_of_the_plan_exists_and_every_room_is_in_the_plan():
    rooms = {module_name(path).removeprefix("poke.") for path in FILES}
    rooms |= {module_name(path.parent / "__init__.py").removeprefix("poke.") for path in FILES}
    planned = set(MAY_IMPORT) | MAY_COMPOSE | FREE_OF_TORCH | BUILDS
    assert planned <= rooms, planned - rooms
    top = {room.partition(".")[0] for room in rooms} - {"poke", "__main__"}
    assert top == {room.partition(".")[0] for room in MAY_IMPORT}


def known_to(path: Path, *, lazily: bool) -> set[str]:
    """The packages that a file imports from."""
    return {module.split(".")[0] for module in imports(path, lazily=lazily)}


def test_imports_go_down_only():
    wrong = []
    for path in FILES:
        here = module_name(path)
        signals = {"run.signals"} if here.endswith(".__main__") else set()  # a door within a room
        for room, others in MAY_IMPORT.items():
            if here == "poke" or not within(here, [room]):
                continue
            allowed = {room} | others | signals
            for module in sorted(imports(path, lazily=True)):
                if module.split(".")[0] == "poke" and not within(module, allowed):
                    wrong.append(f"{here} imports {module}")
    assert wrong == []


def test_only_the_rim_knows_hydra():
    inside = [path for path in FILES if not within(module_name(path), MAY_COMPOSE)]
    wrong = [path for path in inside if known_to(path, lazily=True) & {"hydra", "omegaconf"}]
    assert wrong == []


def test_heavy_libraries_are_imported_where_they_are_used():
    heavy = {"wandb", "tensorboard", "pandas", "mlflow", "trackio", "scipy", "ray"}
    wrong = []
    for path in FILES:
        here = module_name(path)
        is_free = within(here, FREE_OF_TORCH) and not within(here, BUILDS)
        found = known_to(path, lazily=False) & (heavy | ({"torch"} if is_free else set()))
        if found:
            wrong.append(f"{here} imports {sorted(found)}")
    assert wrong == []


@pytest.mark.parametrize("room", sorted(FREE_OF_TORCH))
def test_a_room_without_torch_brings_none_in(room):
    modules = [
        module_name(path)
        for path in FILES
        if within(module_name(path), [room]) and not within(module_name(path), BUILDS)
    ]
    code = f"import importlib, sys; [importlib.import_module(m) for m in {modules}]"
    done = subprocess.run([sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"])
    assert done.returncode == 0, f"{room} imports torch"


def test_no_import_circle():
    names = {module_name(path): path for path in FILES}
    edges = {}
    for name, path in names.items():
        targets = set()
        for module in imports(path, lazily=True):
            target = module if module in names else module.rpartition(".")[0]
            if target in names and target != name:
                targets.add(target)
        edges[name] = targets
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        for target in sorted(edges[name]):
            walk(target, [*trail, name])
        done.add(name)

    for name in edges:
        walk(name, [])


def test_no_room_without_a_name():
    forbidden = {"utils.py", "helpers.py", "base.py", "common.py"}
    assert not [path for path in FILES if path.name in forbidden]
