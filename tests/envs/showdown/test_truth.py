"""Every feature and every mask against the simulator's state, as far as a player may know it."""

import json
import subprocess
from pathlib import Path

import pytest

from poke.envs.showdown import installation, layout

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]

HERE = Path(__file__).parent
WORKER = Path(installation.__file__).parent / "worker"
BATTLES = 20


def compare(generation, kind, fuzz, battles=BATTLES, **more):
    """Play battles and return what truth/main.js counted."""
    settings = {
        "format": f"gen{generation}{kind}",
        "fuzz": fuzz,
        "layout": layout.describe(generation),
        "tables": layout.tables(),
        "battles": [0, battles],
        **more,
    }
    command = [installation.find_node(), HERE / "truth" / "main.js"]
    done = subprocess.run(
        [*command, installation.find_package(), WORKER],
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("fuzz", [False, True], ids=["random teams", "fuzzed teams"])
@pytest.mark.parametrize("generation", range(1, 10))
def test_what_is_observed_is_so(generation, fuzz):
    kind = "customgame" if fuzz else "randombattle"

    report = compare(generation, kind, fuzz)

    assert report["decisions"] > 20 * BATTLES
    assert report["wrong"] == {}, report["examples"]
    assert report["wrongMasks"] == {}, report["examples"]
