"""Every feature and every mask against the simulator's state, as far as a player may know it."""

import json
import subprocess
from pathlib import Path

import pytest

from poke.envs.showdown import installation, layout

from ...selecting import few

pytestmark = [pytest.mark.showdown, pytest.mark.usefixtures("installed")]

HERE = Path(__file__).parent
WORKER = Path(installation.__file__).parent / "worker"
BATTLES = 20


# Battles, by generation and whether of fuzzed teams, in which something was wrong that the first ones do not show.
ONCE_WRONG = {
    # Mimic of a move that it had: 134, 483, 916. A move that was chosen before for another: 224.
    (1, False): [134, 224, 483, 916],
    # Called moves that go on: 88. Mimic after Transform, PP beneath Transform: 74, 168. A lock that is hidden: 115.
    # Mimic called by Mirror Move: 119, 189. PP below none: 551. Confusion behind
    # a Substitute: 961.
    (1, True): [74, 88, 115, 119, 168, 189, 551, 961],
    # A rampage that ends under Safeguard: 973. Rollout against Protect: 756.
    (2, True): [756, 973],
    # A hold that is passed on: 124. A Pressure that was not shown, and then Transform: 180.
    # An Early Bird that Transform copied: 530. One that flinches at its Sleep Talk: 481.
    (3, False): [124, 180, 481, 530],
    # Sketch beside what Mimic copied: 73. Abilities shown by Role Play, unknown ones copied by Transform: 86. A rampage
    # that begins against Protect: 98. A turn that a fall ends before it has recharged: 138.
    # Haze, which leaves Focus Energy: 361. Skill Swap of two unknown abilities, once
    # and twice: 876, 712. A Pressure that Snatch meets: 839.
    (3, True): [73, 86, 98, 138, 361, 712, 839, 876],
    (4, False): [31, 102],
    # An Arceus of another ability: 51, 85, 218, 399. A Pressure that Snatch meets: 79. Quick Claw: 87. Haze
    # and Focus Energy: 267. Skill Swap for the ability that it had: 303. Nature Power that Assist called: 576.
    # An Arceus of which Trace and Role Play tell: 615, 625, 666. Mimic that was sketched: 625.
    # A Sticky Barb that Multitype holds: 751.
    (4, True): [51, 79, 85, 87, 218, 267, 303, 399, 576, 615, 625, 666, 751],
    # A rampage that ends without a word: 48. Natural Gift takes its berry without one: 87. Abilities told by Trace and
    # Skill Swap: 121, 191. A Regenerator that was swapped: 127. A Sticky Barb that was touched: 180.
    # An Arceus that had borrowed an ability, and one of which Mummy told: 404, 480.
    (5, True): [48, 87, 121, 127, 180, 191, 404, 480],
    # Own Tempo after a rampage: 67. The ability of a mega evolution that has fainted: 82.
    (6, False): [67, 82],
    # Reflect Type of one that roosts: 85. Transform into an Arceus without a plate: 98. A White Herb
    # that is used as it is given: 106. A mega evolution under an Illusion: 149.
    # One after Transform: 230. Lunar Dance for an Illusion: 274. An Arceus that
    # was an Illusion: 336. An Illusion of one with Pressure: 412. Pickpocket of what
    # Thief took: 869. A name learnt of an Illusion's double: 134.
    (6, True): [74, 85, 98, 106, 134, 149, 230, 274, 336, 412, 869],
    # A rampage that Dancer joins: 122. A form that an Illusion's end shows: 132. An Illusion and doubles: 134.
    # Called moves that go on: 160. A type added to an Illusion: 179. Z-moves after Transform: 185. Early Bird: 245.
    # A Silvally with a plate: 963.
    (7, True): [122, 132, 134, 160, 179, 185, 245, 963],
    # A fifth move that was an Illusion's: 58, 190. A rampage that Sap Sipper takes in: 495. Pickpocket after
    # Knock Off, of the same item: 162.
    (8, False): [162, 190, 495],
    # An Illusion and doubles: 24. Sleep of both: 53. Max moves whose base is disabled: 59. A mega evolution that
    # faints beside a namesake: 78. Gravity ends Magnet Rise: 80. A shield that is broken: 86. Heal Bell and namesakes:
    # 107. An Illusion with the looks of one whose form team preview left open: 198. A shield that Instruct asks for
    # again: 212. Struggle by Imprison: 301. Abilities told by Skill Swap: 324. A Regenerator that was traced: 342.
    # Sketch beside a max move: 452. Reflect Type of an Illusion: 552.
    (8, True): [24, 53, 58, 59, 78, 80, 86, 107, 198, 212, 301, 324, 342, 452, 552],
    # Pickpocket after Knock Off, of the same item: 34.
    (9, False): [34],
    # Reflect Type of one that has terastallized: 57. An ability that Mummy took away: 60. The same types in another
    # order: 109. Smack Down: 141. Arceus that is Stellar: 183. Two forms, undone by a fall: 187. Psych Up of one
    # without Focus Energy: 254. Two Illusions, one of the other: 253. An added type
    # that terastallizing takes away: 492. One who was an Illusion, on the bench: 576. A Silvally
    # with a crystal, an Arceus with a memory: 626, 674.
    # Mimic under an Illusion: 828.
    (9, True): [57, 60, 109, 141, 183, 187, 253, 254, 492, 576, 626, 674, 828],
}


def compare(generation, fuzz, battles):
    """Play battles and return what truth/main.js counted."""
    settings = {
        "format": f"gen{generation}{'customgame' if fuzz else 'randombattle'}",
        "fuzz": fuzz,
        "layout": layout.describe(generation),
        "tables": layout.tables(),
        "battles": list(battles),
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


@pytest.mark.parametrize("fuzz", few([False, True], True), ids=["random teams", "fuzzed teams"])
@pytest.mark.parametrize("generation", few(range(1, 10), 9))
def test_what_is_observed_is_so(generation, fuzz):
    report = compare(generation, fuzz, range(BATTLES))

    assert report["decisions"] > 20 * BATTLES
    assert report["wrong"] == {}, report["examples"]
    assert report["wrongMasks"] == {}, report["examples"]


@pytest.mark.slow
@pytest.mark.parametrize(("generation", "fuzz"), ONCE_WRONG)
def test_what_was_wrong_once_is_so(generation, fuzz):
    report = compare(generation, fuzz, ONCE_WRONG[generation, fuzz])

    assert report["decisions"] > 20
    assert report["wrong"] == {}, report["examples"]
    assert report["wrongMasks"] == {}, report["examples"]
