"""The drawing of the rooms of `src/poke` and of who imports whom, made of the imports themselves."""

import ast
from collections import defaultdict
from pathlib import Path

WIDTH, BOX, HEIGHT, GAP = 960, 128, 34, 74  # of the drawing; of a room, and of a floor, in pixels
DOORS = "the doors"
BUILT = {
    "algorithms": "run"
}  # imported by nobody: a config names their classes, and this room builds them


def drawing(source: Path) -> str:
    """Return the drawing as SVG: each floor imports only from floors below it.

    An arrow that others imply is left out; a dashed one is from who builds a room's classes by their names.

    Args:
        source: `src/poke`.
    """
    uses = imports(source)
    for room, builder in BUILT.items():
        uses[builder].add(room)
    floors = _floors(uses)
    places: dict[str, tuple[float, float]] = {}
    for floor, rooms in enumerate(floors):
        step = WIDTH / len(rooms)
        for i, room in enumerate(sorted(rooms, key=lambda room: _below_whom(room, uses, places))):
            places[room] = (step * (i + 0.5), 24 + floor * GAP)
    arrows = [
        _arrow(places[user], places[used], is_built=BUILT.get(used) == user)
        for user, targets in _reduced(uses).items()
        for used in sorted(targets)
    ]
    boxes = [_box(room, *place) for room, place in places.items()]
    height = 24 + (len(floors) - 1) * GAP + HEIGHT + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="14">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#78909c"/></marker></defs>'
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#fafafa"/>'
        f"{''.join(arrows)}{''.join(boxes)}</svg>\n"
    )


def imports(source: Path) -> dict[str, set[str]]:
    """Return which rooms each room imports when it is loaded or at work.

    Args:
        source: the package's folder. Its modules that are commands count as one room, the doors.
    """
    uses: dict[str, set[str]] = defaultdict(set)
    for file in sorted(source.rglob("*.py")):
        room = (
            DOORS
            if file.stem == "__main__"
            else _room(file.relative_to(source).parts[0].removesuffix(".py"), source)
        )
        for name in _imported(ast.parse(file.read_text())):
            used = _room(name.split(".")[1], source)
            uses[room] |= {used} - {room, ""}
    return {room: used for room, used in sorted(uses.items()) if room}


def _room(name: str, source: Path) -> str:
    if (source / name).is_dir() or name == "protocols":
        return name
    return DOORS if name in _doors(source) else ""


def _doors(source: Path) -> list[str]:
    return [file.stem for file in source.glob("*.py") if file.stem not in ("__init__", "protocols")]


def _imported(tree: ast.Module) -> list[str]:
    """Return the modules of poke that a module imports, except those for types alone."""
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = []
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.startswith("poke.")]


def _floors(uses: dict[str, set[str]]) -> list[list[str]]:
    """Return the rooms by floor: each is just below the lowest that imports it."""
    users: dict[str, set[str]] = defaultdict(set)
    for user, targets in uses.items():
        for used in targets:
            users[used].add(user)
    depth: dict[str, int] = {}

    def of(room: str, way: tuple[str, ...] = ()) -> int:
        assert room not in way, f"a circle: {' <- '.join((*way, room))}"
        if room not in depth:
            depth[room] = max((of(user, (*way, room)) + 1 for user in users[room]), default=0)
        return depth[room]

    rooms = sorted({*uses, *list(users)})
    lowest = max(of(room) for room in rooms)
    return [[room for room in rooms if depth[room] == floor] for floor in range(lowest + 1)]


def _below_whom(
    room: str, uses: dict[str, set[str]], places: dict[str, tuple[float, float]]
) -> float:
    """Return where the middle of the rooms is that import a room and have their places."""
    above = [
        places[user][0] for user, targets in uses.items() if room in targets and user in places
    ]
    return sum(above) / len(above) if above else WIDTH / 2


def _reduced(uses: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports without those that a longer way makes anyhow."""

    def reach(room: str) -> set[str]:
        return {found for used in uses.get(room, ()) for found in (used, *reach(used))}

    return {
        room: {
            used for used in targets if not any(used in reach(other) for other in targets - {used})
        }
        for room, targets in uses.items()
    }


def _box(room: str, x: float, y: float) -> str:
    return (
        f'<rect x="{x - BOX / 2:.0f}" y="{y:.0f}" width="{BOX}" height="{HEIGHT}" rx="5" '
        'fill="#e0f2f1" stroke="#00897b"/>'
        f'<text x="{x:.0f}" y="{y + 22:.0f}" text-anchor="middle" fill="#263238">{room}</text>'
    )


def _arrow(user: tuple[float, float], used: tuple[float, float], *, is_built: bool) -> str:
    (x0, y0), (x1, y1) = (user[0], user[1] + HEIGHT), used
    bend = min(60, (y1 - y0) / 2)
    dashes = 'stroke-dasharray="5 4" ' if is_built else ""
    return (
        f'<path d="M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} {x1:.0f} {y1 - 2:.0f}" '
        f'fill="none" stroke="#78909c" {dashes}marker-end="url(#tip)"/>'
    )
