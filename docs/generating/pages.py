"""mkdocs' hook: adds the pages that are made of the schema, of `--help`, of the imports and of what was measured.

None of them is in the repository, so none can say something else than the code does.
"""

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "src")]

import commands  # noqa: E402
import knobs  # noqa: E402
import results  # noqa: E402
import rooms  # noqa: E402


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages to those of docs/."""
    made = {
        "reference/knobs.md": knobs.page(ROOT / "conf"),
        "reference/commands.md": commands.page(ROOT),
        "reference/sample.md": (ROOT / "src/poke/data/samples/README.md").read_text(),
        "benchmarks.md": results.page(ROOT / "benchmarks" / "results"),
        "images/rooms.svg": rooms.drawing(ROOT / "src" / "poke"),
    }
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    return files
