"""Battles as a page: by content, and in a browser."""

import base64
import errno
import gzip
import json
import re

import numpy as np
import pytest

from poke.envs.showdown import layout
from poke.envs.showdown.pipes.lines import LineDecision
from poke.envs.showdown.watching import Chronicle, Thoughts
from poke.envs.showdown.watching.gallery import Gallery
from poke.envs.showdown.watching.page import render_page, told, write_page
from poke.envs.showdown.watching.scenes import decisions, scene

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def data_of(page):
    (packed,) = re.findall(r'<script type="text/plain" id="data">([^<]*)</script>', page)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.fixture
def opened(open_page, tmp_path):
    def run(chronicles, fragment="", **options):
        file = tmp_path / "battle.html"
        write_page(chronicles, file)
        page = open_page(f"{file.as_uri()}{fragment}", **options)
        page.locator("#where:not(:empty)").wait_for()
        return page

    return run


def test_a_page_says_what_the_chronicle_says(battle):
    first, second = battle("gen9randombattle", 1)
    data = data_of(render_page([first, second]))
    assert data == json.loads(json.dumps({"battles": [told(first), told(second)]}))
    one, other = data["battles"]
    assert one["names"] == ["Ann", "Bob"] == other["names"][::-1]
    assert one["outcome"] == -other["outcome"]
    assert len(one["scenes"]) == len(decisions(first))
    for shown, moment in zip(one["scenes"], decisions(first), strict=True):
        assert {name: shown[name] for name in scene(moment)} == scene(moment)
    turns = [shown["turn"] for shown in one["scenes"]]
    assert turns == sorted(turns)
    assert turns[-1] == one["turns"]
    before = [one["log"][shown["at"] - 1][1] for shown in one["scenes"] if shown["own"]]
    assert f"Turn {one['turns']}" in before


def test_a_page_is_small_and_asks_nobody_for_anything(battle):
    for name in ("gen1randombattle", "gen9randombattle"):
        page = render_page(battle(name, 1)[:1])
        assert len(page.encode()) < 60_000
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<link|@import|src=", page)


def test_a_battle_of_a_thousand_turns_is_below_300_kb(battle):
    long = Chronicle("gen1randombattle", "p1", agent="long")
    source = battle("gen1randombattle", 1)[0]
    rng = np.random.default_rng(0)
    moments = decisions(source)
    for turn in range(1000):
        moment = moments[turn % len(moments)]
        for line in source.lines[turn % 50 : turn % 50 + 8]:
            long.line(line)
        long.line(f"|turn|{turn + 1}")
        weights = rng.random(len(moment.decision.mask)) * moment.decision.mask
        thoughts = Thoughts((weights / weights.sum()).astype(np.float32), float(rng.normal()))
        long.decided(moment.decision, thoughts, moment.action, moment.choice)
    assert len(render_page([long]).encode()) < 300_000


def end_one(gallery):
    one = gallery.watch("gen1randombattle", "p1")
    one.line("|turn|1")
    one.ended(1)


def test_a_battle_that_has_ended_is_on_the_page_while_others_go_on(tmp_path):
    gallery = Gallery("runs/best", page=tmp_path / "a.html")
    gallery.watch("gen1randombattle", "p1").line("|turn|1")
    end_one(gallery)
    battles = data_of((tmp_path / "a.html").read_text())["battles"]
    assert [one["outcome"] for one in battles] == [None, 1]


def test_a_full_disk_is_no_battle_s_end_and_is_told_at_last(tmp_path, monkeypatch):
    def refuse(chronicles, file):
        raise OSError(errno.ENOSPC, "No space left on device")

    gallery = Gallery("runs/best", page=tmp_path / "a.html")
    end_one(gallery)
    whole = (tmp_path / "a.html").read_text()
    monkeypatch.setattr("poke.envs.showdown.watching.gallery.write_page", refuse)
    monkeypatch.setattr(gallery, "_next_write", 0.0)
    with pytest.raises(OSError, match="No space left"), gallery:
        end_one(gallery)
    assert (tmp_path / "a.html").read_text() == whole


def test_a_page_appears_whole_or_not_at_all(battle, tmp_path):
    file = tmp_path / "a.html"
    gallery = Gallery("runs/best", page=file)

    def stopped():
        with gallery:
            gallery.watch("gen1randombattle", "p1").line("|turn|1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    (one,) = data_of(file.read_text())["battles"]
    assert (one["outcome"], one["turns"], one["scenes"]) == (None, 1, [])
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    with Gallery("runs/best", page=tmp_path / "b.html"):
        pass
    assert not (tmp_path / "b.html").exists(), "no battle had begun"


def test_the_slider_the_keys_and_the_curve_move_through_the_battle(battle, opened):
    chronicle = battle("gen1randombattle", 1)[0]
    expected = told(chronicle)["scenes"]
    page = opened([chronicle])

    def shown():
        at = int(page.locator("#slider").input_value())
        one = expected[at]
        text = page.locator("#where").inner_text()
        assert text.startswith(f"Turn {one['turn']} · decision {at + 1} of {len(expected)}")
        for side in ("own", "opponent"):
            names = page.locator(f"#{side} .head strong").all_inner_texts()
            assert sorted(names) == sorted(pokemon["name"] for pokemon in one[side])
            active = [p for p in one[side] if p["active"]]
            if active and not active[0]["fainted"]:
                percent = page.locator(f"#{side} .active .percent").inner_text()
                assert percent == f"{active[0]['hp']} %"
        (chosen,) = page.locator("#options .chosen .label").all_inner_texts()
        assert chosen.endswith(next(o["label"] for o in one["options"] if o["chosen"]))
        return at

    assert shown() == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert shown() == 2
    page.keyboard.press("ArrowLeft")
    assert shown() == 1
    page.keyboard.press("End")
    assert shown() == len(expected) - 1
    assert page.locator("#on").is_disabled()
    page.keyboard.press("Home")
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    assert shown() == 1
    page.locator("#on").click()
    assert shown() == 2
    box = page.locator("#curve").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert abs(shown() - (len(expected) - 1) / 2) <= 1
    page.get_by_role("button", name="Turn 3", exact=True).click()
    assert expected[shown()]["turn"] == 3
    assert page.evaluate("location.hash") == f"#1/{shown() + 1}"


def test_bars_are_as_long_as_what_they_show(battle, opened):
    chronicle = battle("gen1randombattle", 1)[0]
    expected = told(chronicle)["scenes"]
    at = next(i for i, one in enumerate(expected) if 0.2 < one["options"][0]["probability"] < 0.8)
    page = opened([chronicle], f"#1/{at + 1}")

    def shares(selector):
        return page.evaluate(
            "s => [...document.querySelectorAll(s)].map(bar => bar.firstChild.getBoundingClientRect().width"
            " / bar.getBoundingClientRect().width)",
            selector,
        )

    options = expected[at]["options"]
    assert shares("#options .bar") == pytest.approx([o["probability"] for o in options], abs=0.01)
    active = [p["hp"] / 100 for p in expected[at]["own"] if p["active"]]
    assert shares("#own .active .hp") == pytest.approx(active, abs=0.01)


def test_a_set_has_a_selector(battle, opened):
    chronicles = [*battle("gen1randombattle", 1), battle("gen9randombattle", 1)[0]]
    page = opened(chronicles, "#2/1")
    choices = page.locator("#battles option").all_inner_texts()
    assert [text.partition(":")[0] for text in choices] == ["1", "2", "3"]
    assert page.locator("#title").inner_text() == "agent p2 against Ann"
    page.locator("#battles").select_option("2")
    assert "gen9randombattle" in page.locator("#headline").inner_text()
    alone = opened(chronicles[:1])
    assert not alone.locator("#choose").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_stands_out_of_the_window(battle, opened, scheme, width):
    page = opened(
        battle("gen9randombattle", 1)[:1],
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
    )
    for key in ("Home", "ArrowRight", "End"):
        page.keyboard.press(key)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0


def test_names_and_chat_of_people_are_text(opened):
    chronicle = Chronicle("gen9randombattle", "p1", agent=EVIL)
    mask = np.zeros(layout.num_actions(9), bool)
    mask[:2] = True
    for line in (f"|player|p1|{EVIL}|", f"|player|p2|{EVIL}|", "|turn|1", f"|c|☆{EVIL}|{EVIL}"):
        chronicle.line(line)
    decision = LineDecision(np.zeros(layout.SIZE, np.int8), mask, "", False)
    chronicle.decided(decision, Thoughts(np.full(26, 0.5, np.float32), None), 0, "switch 1")
    chronicle.line(f"|faint|p2a: {EVIL}")
    chronicle.ended(1)
    page = opened([chronicle, chronicle])
    assert page.locator("#title").inner_text() == f"{EVIL} against {EVIL}"
    log = page.locator("#log").inner_text()
    assert f"☆{EVIL}: {EVIL}" in log
    assert f"The opposing {EVIL} fainted" in log
    assert page.locator("img").count() == 0
    assert page.locator("#value").is_hidden(), "nobody tells a value"


def test_a_battle_without_decisions_is_shown(opened):
    chronicle = Chronicle("gen1randombattle", "p1", agent="me")
    chronicle.line("|player|p2|Bob|")
    chronicle.line("|-message|Bob forfeited.")
    chronicle.ended(1)
    page = opened([chronicle])
    assert page.locator("#where").inner_text() == "There was nothing to choose in this battle."
    assert "Bob forfeited." in page.locator("#log").inner_text()
