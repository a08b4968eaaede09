import json
import re

import numpy as np
import pytest

from poke.comparison.reading.collection import read_histories, read_runs
from poke.comparison.showing.report import MAX_POINTS, group_curve, render_report
from poke.comparison.statistics.table import Question, compare


def comparison(root, **question):
    return compare(read_runs([root], cache=False), Question(**question))


def write_report(root, **question):
    path = root / "report.html"
    path.write_text(render_report(comparison(root, **question), path, cache=False))
    return path


def report_url(root, **question):
    return write_report(root, **question).as_uri()


def data(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def curve(root, place=0):
    row = comparison(root).rows[place]
    return group_curve(read_histories(row.group.runs), "val/loss")


def test_a_page_holds_the_table_and_links_and_asks_for_no_network(sweep):
    page = write_report(sweep, baseline="lr=1e-4")

    text = page.read_text()
    assert "{{" not in text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)
    held = data(page)
    assert [group["label"] for group in held["groups"]] == ["algo.lr=0.001", "algo.lr=0.0001"]
    assert held["groups"][0]["runs"][0]["href"] == "lr0.001/seed0/"
    assert held["groups"][0]["contrast"]["difference"] == pytest.approx(-0.5)


def test_nothing_a_run_says_becomes_markup(tmp_path, write_run):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u2028{{style}}"
    write_run(tmp_path, "a", {"x": evil}, error=evil)
    write_run(tmp_path, "javascript:alert(1)", {"x": 1, evil: 2}, status="failed", error=evil)
    write_run(tmp_path, "c", {"x": 2})

    page = write_report(tmp_path)

    assert "alert(1)<" not in page.read_text()
    assert "<img" not in page.read_text()
    assert data(page)["groups"][0]["settings"]["x"] == evil
    assert data(page)["not_averaged"][0]["href"] == "javascript%3Aalert%281%29/"


def test_a_curve_is_the_mean_within_the_lowest_and_highest_run(sweep):
    held = curve(sweep)

    assert held["steps"] == [0, 500, 1000]
    assert held["seconds"] == [0, 500, 1000]
    assert held["mean"] == pytest.approx([2.0, 0.985, 1.215])
    assert held["low"] == pytest.approx([2.0, 0.97, 1.2])
    assert held["high"] == pytest.approx([2.0, 1.0, 1.23])
    assert held["n"] == [4, 4, 4]


def test_runs_of_other_steps_are_interpolated_but_never_prolonged(tmp_path, write_run):
    write_run(
        tmp_path, "a", rows=[{"step": 0, "val/loss": 0.0}, {"step": 10, "val/loss": 10.0}], seed=0
    )
    write_run(
        tmp_path, "b", rows=[{"step": 5, "val/loss": 1.0}, {"step": 20, "val/loss": 1.0}], seed=1
    )

    held = curve(tmp_path)

    assert held["steps"] == [0, 5, 10, 20]
    assert held["mean"] == pytest.approx([0.0, 3.0, 5.5, 1.0])
    assert held["n"] == [1, 2, 2, 1]


def test_nan_leaves_a_curve_without_a_value_and_not_without_the_others(tmp_path, write_run):
    rows = [{"step": step, "val/loss": float("nan") if step > 1 else 1.0} for step in range(4)]
    write_run(tmp_path, "a", rows=rows, seed=0)
    write_run(tmp_path, "b", rows=[{"step": step, "val/loss": 3.0} for step in range(4)], seed=1)

    held = curve(tmp_path)

    assert held["mean"] == [2.0, 2.0, 3.0, 3.0]
    assert held["n"] == [2, 2, 1, 1]


def test_long_curves_are_thinned_by_averaging(tmp_path, write_run):
    noise = np.random.default_rng(0).normal(size=5000).tolist()
    write_run(
        tmp_path, "a", rows=[{"step": step, "val/loss": value} for step, value in enumerate(noise)]
    )

    held = curve(tmp_path)

    assert len(held["steps"]) == MAX_POINTS
    assert (held["steps"][0], held["steps"][-1]) == (0, 4999)
    assert np.std(held["mean"]) == pytest.approx(1 / 5, rel=0.3)


def test_twenty_curves_of_two_hundred_points_stay_small(tmp_path, write_run):
    generator = np.random.default_rng(0)
    for place in range(20):
        rows = [
            {"step": 100 * row, "val/loss": value}
            for row, value in enumerate(generator.random(200).tolist())
        ]
        write_run(tmp_path, f"{place}", {"lr": place}, rows)

    assert write_report(tmp_path).stat().st_size <= 200_000


def first_column(page):
    rows = page.locator("#table tbody tr:not(.runs):visible td:first-child")
    return [text.removeprefix("▸").strip() for text in rows.all_inner_texts()]


def test_the_page_renders(open_page, sweep):
    page = open_page(report_url(sweep, baseline="lr=1e-4"))

    assert page.title() == "val/loss: comparison"
    assert first_column(page) == ["0.001", "0.0001"]
    assert page.locator("#chart .curve").count() == 2
    assert page.locator("#chart .band").count() == 2
    assert page.locator("#coordinates .path").count() == 2
    assert page.locator("#others tbody tr").count() == 2
    assert "loss is nan at step 1" in page.locator("#others").inner_text()
    assert page.locator("tr.baseline").inner_text().startswith("▸")


def test_a_click_on_the_legend_hides_a_curve_and_another_shows_it(open_page, sweep):
    page = open_page(report_url(sweep))
    button = page.locator("#legend button").first

    button.click()
    assert page.locator("#chart .curve").count() == 1
    assert page.locator("#coordinates .path").count() == 1
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert page.locator("#chart .curve").count() == 2


def test_a_click_on_a_heading_sorts_by_number_and_back(open_page, tmp_path, write_run):
    for place, lr in enumerate([3, 20, 100]):
        write_run(tmp_path, f"{lr}", {"lr": lr}, [{"step": 1, "val/loss": float(place)}])
    page = open_page(report_url(tmp_path))
    heading = page.get_by_role("button", name="lr", exact=True)

    heading.click()
    assert first_column(page) == ["3", "20", "100"]
    heading.click()
    assert first_column(page) == ["100", "20", "3"]
    assert page.locator("#table th").first.get_attribute("aria-sort") == "descending"


def test_the_filter_keeps_rows_with_every_word(open_page, sweep):
    page = open_page(report_url(sweep))

    page.locator("#filter").fill("lr=0.0001 seed3")

    assert first_column(page) == ["0.0001"]
    assert page.locator("#matches").inner_text() == "1 of 2 shown"


def test_a_row_opens_to_links_to_its_runs(open_page, sweep):
    page = open_page(report_url(sweep))

    page.locator(".open").first.click()

    links = page.locator("tr.runs:visible a")
    assert links.count() == 4
    assert links.first.evaluate("link => link.href") == (sweep / "lr0.001/seed0").as_uri() + "/"


def test_the_pointer_and_the_arrow_keys_read_values(open_page, sweep):
    page = open_page(report_url(sweep))
    box = page.locator("#chart").bounding_box()

    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    tip = page.locator("#tooltip").inner_text()
    assert "step 500" in tip
    assert "0.985" in tip
    page.locator("#chart").focus()
    page.keyboard.press("ArrowRight")
    assert "step 1000" in page.locator("#tooltip").inner_text()
    assert "1.215" in page.locator("#reading").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#tooltip").is_hidden()


def test_switches_redraw_the_curves(open_page, sweep):
    page = open_page(report_url(sweep))
    drawn = page.locator("#chart .curve").first
    seen = [drawn.get_attribute("d")]

    for switch in (
        lambda: page.locator("#log").check(),
        lambda: page.locator("#smoothing").fill("0.9"),
    ):
        switch()
        seen.append(drawn.get_attribute("d"))
    page.get_by_text("time", exact=True).click()

    assert len(set(seen)) == 3
    assert "minutes" in page.locator("#chart").text_content()


def test_the_keyboard_alone_reaches_every_control(open_page, sweep):
    page = open_page(report_url(sweep))
    reached = set()

    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )

    assert {"filter", "log", "smoothing", "chart", "algo.lr", "algo.lr=0.001"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_light_and_dark(open_page, sweep, scheme):
    page = open_page(report_url(sweep), color_scheme=scheme)

    ground, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        ".map(text => text.match(/\\d+/g).map(Number).reduce((a, b) => a + b) / 3)"
    )

    assert abs(ground - ink) > 150
    assert (ground > ink) == (scheme == "light")


def test_a_phone_scrolls_tables_and_not_the_page(open_page, sweep):
    page = open_page(report_url(sweep, baseline="lr=1e-4"), viewport={"width": 360, "height": 740})

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#chart .curve").count() == 2


def test_hostile_runs_show_as_text(open_page, tmp_path, write_run):
    write_run(tmp_path, "a", {"x": "<img src=x onerror=alert(1)>"})
    write_run(tmp_path, "b", {"x": "</script><b>"})

    page = open_page(report_url(tmp_path))

    assert sorted(first_column(page)) == ["</script><b>", "<img src=x onerror=alert(1)>"]
    assert page.locator("#table img, #table b").count() == 0


def test_runs_without_a_curve_or_a_setting_still_make_a_page(open_page, tmp_path, write_run):
    write_run(tmp_path, "a", {}, [{"step": 1, "val/loss": float("nan")}])

    page = open_page(report_url(tmp_path))

    assert "no curve to show" in page.locator("#chart").evaluate("chart => chart.textContent")
    assert page.locator("#parallel").is_hidden()


def test_a_page_without_a_finished_run_lists_the_others(open_page, tmp_path, write_run):
    write_run(tmp_path, "a", status="failed", error="it broke")

    page = open_page(report_url(tmp_path))

    assert "it broke" in page.locator("#others").inner_text()
