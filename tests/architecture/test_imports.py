"""Who may import whom, read from the imports themselves."""

import ast
from pathlib import Path

import pytest

import poke

ROOT = Path(poke.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# A room and the rooms of poke below it. A room that is not named may import anything.
MAY_IMPORT = {
    "protocols": set(),
    "networks": {"protocols"},
    "data": {"protocols"},
    "algorithms": {"protocols", "networks", "data"},
    "envs": {"protocols", "data"},
    "training": {"protocols"},
    "comparison": set(),
    "knobs": set(),
    "schema": {"knobs", "envs"},
    "compare": {"comparison"},
    "checkpoints": {"training", "protocols"},
}
MAY_COMPOSE = {
    "train",
    "compare",
    "record",
    "play",
    "verify",
    "config",
    "schema",
    "runner",
    "experiment",
    "sweep",
}
FREE_OF_TORCH = {
    "train",
    "compare",
    "record",
    "verify",
    "config",
    "schema",
    "protocols",
    "comparison",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, lazily: bool) -> set[str]:
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
    return found


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_down_only(path):
    here = room(module_name(path))
    if here not in MAY_IMPORT:
        return
    allowed = MAY_IMPORT[here] | {here, ""}
    for module in imports(path, lazily=True):
        if module.split(".")[0] == "poke":
            assert room(module) in allowed, f"{module_name(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_the_rim_knows_hydra(path):
    if room(module_name(path)) in MAY_COMPOSE:
        return
    known = {module.split(".")[0] for module in imports(path, lazily=True)}
    assert not known & {"hydra", "omegaconf"}, module_name(path)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_heavy_libraries_are_imported_where_they_are_used(path):
    at_import = {module.split(".")[0] for module in imports(path, lazily=False)}
    assert not at_import & {"wandb", "tensorboard", "pandas", "mlflow", "trackio", "scipy"}
    if room(module_name(path)) in FREE_OF_TORCH:
        assert "torch" not in at_import


def test_no_import_circle():
    names = {module_name(path): path for path in FILES}
    edges = {}
    for name, path in names.items():
        targets = set()
        for module in imports(path, lazily=False):
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
