"""A whole battle by clicks, against a policy, on a real server and in a real browser."""

import asyncio
import json
import os
import queue
import signal
import threading
import urllib.request

import pytest

pytest.importorskip("poke_env", reason="needs poke-env: pip install 'poke[showdown]'")

from poke.envs.showdown.browser import game
from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.pipes.lines import LineWorker
from poke.envs.showdown.server import ShowdownServer
from poke.envs.showdown.server.players import Playing

from ..policies import Anything

READY = "#again:visible, .choice:enabled"


class Hosting:
    """A game that runs in a thread, until it is stopped as by Ctrl-C."""

    def __init__(self, url, battle_format, teams):
        self.policy, self.said, self.error = Anything(), queue.Queue(), None
        self.seats = []
        self._loop = None
        self._playing = Playing(self.policy, battle_format, teams)
        self._thread = threading.Thread(target=self._run, args=(url,))
        self._thread.start()
        self.url = next(word for word in self.said.get(timeout=120).split() if "http" in word)

    def _run(self, url):
        async def host():
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.current_task()
            hear = {"on_result": self.seats.append, "say": self.said.put}
            await game.host("runs/best", self._playing, url, **hear)

        try:
            asyncio.run(host())
        except asyncio.CancelledError:
            self.error = "stopped"
        except ShowdownError as error:
            self.error = str(error)

    def stop(self):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self.join()

    def join(self):
        self._thread.join()


@pytest.fixture
def hosting(server):
    games = []

    def start(battle_format, teams=()):
        games.append(Hosting(server.websocket_url, battle_format, teams))
        return games[-1]

    yield start
    for one in games:
        one.stop()
        assert one.error == "stopped"


def play(page):
    """Click through a battle: a move where there is one, and now and then a switch. Return the clicks."""
    page.set_default_timeout(120_000)
    clicks = 0
    while True:
        page.locator(READY).first.wait_for()
        if page.locator("#again").is_visible():
            return clicks
        moves, switches = (
            page.locator(f"#{place} .choice:enabled") for place in ("moves", "switches")
        )
        where = switches if switches.count() and (clicks % 7 == 6 or not moves.count()) else moves
        where.nth(clicks % where.count()).click()
        clicks += 1


@pytest.mark.showdown
@pytest.mark.slow
def test_a_battle_is_played_by_clicks_and_then_the_agent_tells(hosting, open_page):
    hosted = hosting("gen1randombattle")
    page = open_page(hosted.url)
    clicks = play(page)
    assert clicks > 5
    assert (
        page.locator("#headline")
        .inner_text()
        .startswith(("You won.", "You lost.", "It is a draw."))
    )
    log = page.locator("#log").inner_text()
    assert "Turn 5" in log
    outcome = "You won" if "You won." in page.locator("#headline").inner_text() else "Agent won"
    assert outcome in log
    href = page.locator("#thoughts").get_attribute("href")
    thoughts = open_page(hosted.url + href)
    thoughts.locator("#where:not(:empty)").wait_for()
    told = int(thoughts.locator("#where").inner_text().rpartition(" ")[2])
    assert told >= len(hosted.policy.observations)
    assert thoughts.locator("#title").inner_text() == "runs/best against You"
    page.locator("#again").click()
    page.wait_for_selector(".choice:enabled")
    assert "Turn 1" in page.locator("#log").inner_text()
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#forfeit").click()
    page.locator("#again").wait_for()
    assert page.locator("#headline").inner_text().startswith("You lost.")
    assert [seat.outcome for seat in hosted.seats] == [1 if "Agent won" in outcome else -1, 1]


GIMMICKS = [
    pytest.param("gen8randombattle", "Dynamax", "dynamaxed", marks=pytest.mark.slow),
    ("gen9randombattle", "Terastallize", "terastallized:"),
]


@pytest.mark.showdown
@pytest.mark.parametrize(("battle_format", "name", "said"), GIMMICKS)
def test_a_gimmick_goes_with_a_move(hosting, open_page, battle_format, name, said):
    page = open_page(hosting(battle_format).url)
    page.set_default_timeout(120_000)
    page.locator(READY).first.wait_for()
    button = page.get_by_role("button", name=name)
    while not button.count():  # who leads is drawn, and a Zacian cannot: another one comes in
        page.locator("#switches .choice:enabled").first.click()
        page.locator(READY).first.wait_for()
    button.click()
    page.locator("#moves .choice:enabled").first.click()
    page.get_by_text(said).first.wait_for()
    page.locator(READY).first.wait_for()
    assert button.count() == 0


TEAM = """\
Rotom-Wash
Ability: Levitate
EVs: 252 HP
- Hydro Pump

Blissey @ Leftovers
Ability: Natural Cure
EVs: 252 HP
- Soft-Boiled

Charizard @ Charizardite X
Ability: Blaze
EVs: 252 HP
- Dragon Dance
- Roost
"""


@pytest.mark.showdown
def test_the_lead_is_chosen_and_mega_evolves(hosting, open_page, tmp_path):
    (tmp_path / "team.txt").write_text(TEAM)
    with LineWorker() as worker:
        teams = worker.teams("gen6ou", tmp_path / "team.txt")
    hosted = hosting("gen6ou", teams)
    page = open_page(hosted.url)
    page.set_default_timeout(120_000)
    page.wait_for_selector("#switches .choice:enabled")
    assert page.locator("#choices-heading").inner_text() == "Who leads?"
    assert page.locator("#opponent").inner_text().count("Blissey") == 1
    assert page.locator("#begin").is_disabled()
    for name in ("Blissey", "Charizard", "Rotom-Wash", "Blissey", "Blissey"):
        page.locator("#switches .choice", has_text=name).click()
    chosen = page.locator("#switches .choice strong").all_inner_texts()
    assert chosen == ["2. Rotom-Wash", "3. Blissey", "1. Charizard"]
    page.locator("#begin").click()
    page.locator("#moves .choice:enabled").first.wait_for()
    assert page.locator("#own article strong").first.inner_text() == "Charizard"
    assert page.locator("#switches strong").all_inner_texts() == ["Rotom-Wash", "Blissey"]
    page.get_by_role("button", name="Mega evolve").click()
    page.locator("#moves .choice", has_text="Dragon Dance").click()
    page.get_by_text("mega evolved").first.wait_for()
    page.locator(READY).first.wait_for()
    assert page.get_by_role("button", name="Mega evolve").count() == 0


def wait_for(url, phase):
    """Follow the page's state, as its script does, until a phase."""
    state = {"version": 0, "phase": ""}
    while state["phase"] != phase:
        with urllib.request.urlopen(f"{url}state?after={state['version']}") as answer:
            state = json.loads(answer.read() or json.dumps(state))


@pytest.mark.showdown
def test_a_server_that_dies_takes_no_finished_battle_along(installed):
    with ShowdownServer() as mortal:
        hosted = Hosting(mortal.websocket_url, "gen1randombattle", ())
        wait_for(hosted.url, "choose")
        urllib.request.urlopen(f"{hosted.url}forfeit", data=b"").close()
        wait_for(hosted.url, "over")
        urllib.request.urlopen(f"{hosted.url}again", data=b"").close()
        wait_for(hosted.url, "choose")
        os.kill(mortal.pid, signal.SIGKILL)
        hosted.join()
    assert "connection" in hosted.error
    assert [seat.outcome for seat in hosted.seats] == [1]
