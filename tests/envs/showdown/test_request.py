"""What a request allows, how its choices are written, and what a refusal teaches."""

import pytest

pytestmark = pytest.mark.showdown

TEAM = ["100/100", "80/80 par", "0 fnt", "1/90"]


def request(moves=("tackle", "surf", "hiddenpower", "rest"), team=TEAM, **active):
    own = ["tackle", "surf", "hiddenpowerice60", "rest"]
    entries = [
        {"condition": condition, "active": i == 0, "moves": own} for i, condition in enumerate(team)
    ]
    listed = [move if isinstance(move, dict) else {"id": move, "pp": 5} for move in moves]
    return {"active": [{"moves": listed, **active}], "side": {"pokemon": entries}}


def forced(reviving=False):
    given = request(team=["0 fnt" if not reviving else "9/9", *TEAM[1:]])
    given["side"]["pokemon"][0]["reviving"] = reviving
    return {"forceSwitch": [True], "side": given["side"]}


def off(name):
    return {"id": name, "pp": 0, "disabled": True}


SWITCHES, MOVES = [1, 3], [6, 7, 8, 9]
CASES = {
    "all": (request(), [*SWITCHES, *MOVES]),
    "trapped": (request(trapped=True), MOVES),
    "maybe trapped": (request(maybeTrapped=True), [*SWITCHES, *MOVES]),
    "maybe locked": (request(maybeLocked=True, maybeDisabled=True), [*SWITCHES, *MOVES]),
    "disabled": (request(moves=["tackle", off("surf"), "rest"]), [*SWITCHES, 6, 8]),
    "bound": (request(moves=[{"id": "surf"}], trapped=True), [7]),
    "bound to a hidden power": (request(moves=[{"id": "hiddenpower"}], trapped=True), [8]),
    "recharge": (request(moves=[{"id": "recharge"}], trapped=True), [6]),
    "fight": (request(moves=[{"id": "fight"}]), [*SWITCHES, 6]),
    "struggle": (request(moves=[{"id": "struggle"}]), [*SWITCHES, 6]),
    "a called move": (request(moves=[{"id": "solarbeam"}], trapped=True), [6]),
    "mega": (request(canMegaEvo=True, trapped=True), [*MOVES, 10, 11, 12, 13]),
    "tera": (request(canTerastallize="Fire", trapped=True), [*MOVES, 22, 23, 24, 25]),
    "z move": (
        request(canZMove=[None, {"move": "Hydro Vortex"}, None, None], trapped=True),
        [*MOVES, 15],
    ),
    "dynamax": (
        request(
            moves=["tackle", off("surf")],
            canDynamax=True,
            trapped=True,
            maxMoves={"maxMoves": [{"move": "maxstrike"}, {"move": "maxgeyser", "disabled": True}]},
        ),
        [6, 18],
    ),
    "forced": (forced(), SWITCHES),
    "reviving": (forced(reviving=True), [2]),
    "wait": ({"wait": True, "side": request()["side"]}, []),
    "team preview": ({"teamPreview": True, "side": request()["side"]}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_legal_actions_are_the_requests(run_tracker, case):
    given, actions = CASES[case]
    (seen,) = run_tracker({"requests": [given]})["requests"]
    assert seen["actions"] == actions


def test_choices_are_by_slot(run_tracker):
    every = request(
        canMegaEvo=True,
        canZMove=[{"move": "Z"}, None, None, None],
        canTerastallize="Fire",
        canDynamax=True,
        maxMoves={"maxMoves": [{"move": "maxstrike"}]},
        moves=["tackle"],
        team=TEAM[:2],
    )
    every["side"]["pokemon"][0]["moves"] = ["tackle"]
    ultra, bound = request(canUltraBurst=True, trapped=True), CASES["bound"][0]
    seen = run_tracker({"requests": [every, ultra, bound]})["requests"]
    assert seen[0]["choices"] == [
        "switch 2", "move 1", "move 1 mega", "move 1 zmove", "move 1 dynamax", "move 1 terastallize",
    ]  # fmt: skip
    assert seen[1]["choices"][-1] == "move 4 ultra"
    assert seen[2]["choices"] == ["move 1"]  # at its own slot, the second, and alone in the list


REFUSALS = {
    "a trap": ("maybe trapped", 1, "Can't switch: The active Pokémon is trapped", {1, 3}),
    "a move": ("all", 7, "Can't move: Surf is disabled", {7}),
    "a move to be made with mega evolution": ("mega", 11, "Can't move: Surf is disabled", {7, 11}),
    "mega evolution": ("mega", 10, "Can't move: X can't mega evolve", {10, 11, 12, 13}),
    "terastallizing": ("tera", 22, "Can't move: X can't Terastallize.", {22, 23, 24, 25}),
    "a z move": ("z move", 15, "Can't move: X can't use Surf as a Z-move", {15}),
    "dynamax": ("dynamax", 18, "Can't move: X can't Dynamax now.", {18}),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_takes_away_what_was_refused(run_tracker, case):
    name, action, error, lost = REFUSALS[case]
    given, actions = CASES[name]
    (seen,) = run_tracker({"requests": [], "refusals": [[given, action, error]]})["refused"]
    assert set(seen["actions"]) == set(actions) - lost
