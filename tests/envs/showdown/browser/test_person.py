"""A person as a policy: asked in a thread, answered by clicks."""

import json
import threading

import numpy as np
import pytest

from poke.envs.showdown import layout
from poke.envs.showdown.browser.board import Board
from poke.envs.showdown.browser.person import GivenUp, Person, with_details


class Asked:
    """A person who is asked for a decision in a thread; what it did, or why not."""

    def __init__(self, legal=(0, 6, 7)):
        self.board = Board(lambda *_: None)
        self.person = Person(self.board, "agent")
        self.person.begin()
        self.sight = self.person.watch("gen1randombattle", "p1")
        self.mask = np.zeros(10, bool)
        self.mask[list(legal)] = True
        self.result = None

    def ask(self, about=None):
        self.about = about
        after = json.loads(self.board.news(0, 60))["version"]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return json.loads(self.board.news(after, 60))

    def run(self):
        try:
            if self.about is not None:
                self.sight.line("|request|" + json.dumps(self.about))
                self.result = self.person.order()
                return
            observation = np.zeros(layout.SIZE, np.int8)
            self.result = self.person.act(observation, action_mask=self.mask, state=None)
        except GivenUp as error:
            self.result = error


@pytest.fixture
def asked():
    one = Asked()
    yield one
    one.person.give_up()
    one.thread.join()


def test_a_click_is_the_choice(asked):
    state = asked.ask()
    assert (state["phase"], state["names"]) == ("choose", ["You", "agent"])
    assert [option["action"] for option in state["options"]] == [0, 6, 7]
    asked.person.choose(state["number"], [7])
    asked.thread.join()
    assert asked.result == (7, {})


def test_clicks_that_come_late_or_do_not_fit_change_nothing(asked):
    state = asked.ask()
    asked.person.choose(state["number"] - 1, [0])
    asked.person.choose(state["number"] + 1, [0])
    asked.person.choose(state["number"], [3])
    assert asked.thread.is_alive()
    asked.person.choose(state["number"], [6])
    asked.person.choose(state["number"], [7])
    asked.thread.join()
    assert asked.result == (6, {})


def team_of(*species):
    team = [{"details": f"{one}, L50, M", "item": "lifeorb", "moves": ["surf"]} for one in species]
    return {"teamPreview": True, "side": {"id": "p1", "pokemon": team}}


def test_a_team_is_ordered_by_who_comes_first(asked):
    for line in ("|poke|p1|Gastrodon, F|", "|poke|p2|Arceus-*|", "|poke|p2|Mew, L50|item"):
        asked.sight.line(line)
    state = asked.ask(team_of("Gastrodon", "Tauros", "Mew"))
    assert (state["phase"], state["most"]) == ("order", 3)
    assert [option["label"] for option in state["options"]] == ["Gastrodon", "Tauros", "Mew"]
    assert {option["detail"] for option in state["options"]} == {"Surf"}
    assert [one["name"] for one in state["scene"]["opponent"]] == ["Arceus", "Mew"]
    assert [one["level"] for one in state["scene"]["opponent"]] == [100, 50]
    assert {one["item"] for one in state["scene"]["own"]} == {"Life Orb"}
    for wrong in ([], [0, 0], [3], [0, 1, 2, 0], [-1]):
        asked.person.choose(state["number"], wrong)
    assert asked.thread.is_alive()
    asked.person.choose(state["number"], [2, 0])
    asked.thread.join()
    assert asked.result == "team 3,1"


def test_no_more_are_chosen_than_the_game_allows(asked):
    state = asked.ask(team_of("Gastrodon", "Tauros", "Mew") | {"maxChosenTeamSize": 2})
    asked.person.choose(state["number"], [2, 0, 1])
    assert asked.thread.is_alive()
    asked.person.choose(state["number"], [1])
    asked.thread.join()
    assert asked.result == "team 2"


def test_who_gives_up_is_asked_no_longer(asked):
    asked.ask()
    asked.person.give_up()
    asked.thread.join()
    assert isinstance(asked.result, GivenUp)


def test_a_refusal_is_shown_with_the_next_question(asked):
    asked.sight.line("|error|[Unavailable choice] Can't switch: The active Pokémon is trapped")
    assert asked.ask()["refusal"] == "Can't switch: The active Pokémon is trapped"


def option(kind, action, label="move"):
    return {"kind": kind, "action": action, "label": label}


def test_the_request_tells_hp_pp_and_what_a_gimmick_makes_of_a_move():
    active = {"name": "Snorlax", "active": True, "moves": [{"type": "Normal"}, {"type": "Psychic"}]}
    kinds = [("switch", 1), ("move", 7), ("z_move", 14), ("dynamax", 19), ("tera", 22)]
    drawn = {"own": [active], "options": [option(kind, action) for kind, action in kinds]}
    request = {
        "active": [
            {
                "moves": [{"pp": 3, "maxpp": 24}, {"pp": 16, "maxpp": 16}],
                "canZMove": [{"move": "Pulverizing Pancake"}, None],
                "maxMoves": {"maxMoves": [{"move": "maxstrike"}, {"move": "maxmindstorm"}]},
                "canTerastallize": "Ghost",
            }
        ],
        "side": {"pokemon": [{"condition": "1/400"}, {"condition": "263/301 par"}]},
    }
    with_details(drawn, request)
    switch, move, z_move, dynamax, tera = drawn["options"]
    assert switch["detail"] == "263/301"
    assert (move["detail"], move["type"]) == ("16/16 PP", "Psychic")
    assert (z_move["label"], z_move["detail"]) == ("Pulverizing Pancake", "3/24 PP")
    assert dynamax["label"] == "Max Mindstorm"
    assert tera["detail"] == "3/24 PP"


def test_who_is_dynamaxed_is_shown_its_max_moves():
    active = {"name": "Snorlax", "active": True, "moves": [{"type": "Normal"}]}
    drawn = {"own": [active], "options": [option("move", 6)]}
    moves = [{"pp": 3, "maxpp": 24}]
    with_details(
        drawn, {"active": [{"moves": moves, "maxMoves": {"maxMoves": [{"move": "maxstrike"}]}}]}
    )
    assert drawn["options"][0]["label"] == "Max Strike"


def test_an_ultra_burst_is_called_so():
    active = {"name": "Necrozma-Dusk-Mane", "active": True, "moves": [{"type": "Steel"}]}
    drawn = {"own": [active], "options": [option("mega", 10)]}
    with_details(drawn, {"active": [{"moves": [{"pp": 3, "maxpp": 24}], "canUltraBurst": True}]})
    assert drawn["options"][0]["verb"] == "Ultra Burst"


def test_without_a_request_there_are_no_details():
    drawn = {"own": [], "options": [option("switch", 1), option("move", 7), option("z_move", 14)]}
    with_details(drawn, {})
    assert {one["detail"] for one in drawn["options"]} == {""}
