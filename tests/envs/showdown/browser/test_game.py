"""A whole battle by clicks, against a policy, on a real server and in a real browser."""

import asyncio
import queue
import threading

import numpy as np
import pytest

pytest.importorskip("poke_env", reason="needs poke-env: pip install 'poke[showdown]'")

from poke.envs.showdown.browser import game
from poke.envs.showdown.server.players import Playing

READY = "#again:visible, .choice:enabled"


class Dice:
    """A policy that chooses by dice, and tells so."""

    def __init__(self):
        self.generator = np.random.default_rng(0)
        self.num_decisions = 0

    def initial_state(self):
        return None

    def act(self, observation, *, action_mask, state, return_info=False):
        self.num_decisions += 1
        probabilities = action_mask / action_mask.sum()
        action = self.generator.choice(len(action_mask), p=probabilities)
        return action, {"probabilities": probabilities, "value": 0.25}


class Hosting:
    """A game that runs in a thread, until it is stopped as by Ctrl-C."""

    def __init__(self, url, battle_format):
        self.policy, self.said, self.error = Dice(), queue.Queue(), None
        self._loop = None
        self._playing = Playing(self.policy, battle_format)
        self._thread = threading.Thread(target=self._run, args=(url,))
        self._thread.start()
        self.url = next(word for word in self.said.get(timeout=120).split() if "http" in word)

    def _run(self, url):
        async def host():
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.current_task()
            await game.host("runs/best", self._playing, url, say=self.said.put)

        try:
            asyncio.run(host())
        except asyncio.CancelledError:
            self.error = "stopped"

    def stop(self):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()


@pytest.fixture
def hosting(server):
    games = []

    def start(battle_format):
        games.append(Hosting(server.websocket_url, battle_format))
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
    assert told >= hosted.policy.num_decisions
    assert thoughts.locator("#title").inner_text() == "runs/best against You"
    page.locator("#again").click()
    page.wait_for_selector(".choice:enabled")
    assert "Turn 1" in page.locator("#log").inner_text()
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#forfeit").click()
    page.locator("#again").wait_for()
    assert page.locator("#headline").inner_text().startswith("You lost.")


@pytest.mark.showdown
def test_a_gimmick_goes_with_a_move(hosting, open_page):
    page = open_page(hosting("gen9randombattle").url)
    page.set_default_timeout(120_000)
    page.wait_for_selector(".choice:enabled")
    page.get_by_role("button", name="Terastallize").click()
    page.locator("#moves .choice:enabled").first.click()
    page.get_by_text("terastallized:").first.wait_for()
    page.locator(READY).first.wait_for()
    assert page.get_by_role("button", name="Terastallize").count() == 0
