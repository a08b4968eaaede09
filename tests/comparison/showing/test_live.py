"""The report that follows its runs: what it reads, what it serves and to whom, and what a reader sees."""

import http.client
import json
import shutil
import threading

import pytest

from poke.comparison.errors import ComparisonError
from poke.comparison.reading import following
from poke.comparison.reading.following import Follower
from poke.comparison.reading.rows import incremental
from poke.comparison.showing import live
from poke.comparison.showing.live import LiveReport
from poke.comparison.showing.serving import ReportServer
from poke.comparison.statistics.table import Question, compare


@pytest.fixture
def work(sweep, write_run, hold):
    """The folder of the sweep with a run at work."""
    config = {"algo": {"lr": 1e-2, "name": "bc"}, "trainer": {"max_steps": 1000}}
    rows = [{"step": step, "val/loss": 3.0 - step / 100} for step in (0, 50, 100)]
    hold(write_run(sweep, "at_work", config, rows, status="running"))
    return sweep


@pytest.fixture
def report(work, monkeypatch):
    monkeypatch.setattr(live, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(live, "PAUSE_SHARE", 0)
    return LiveReport(
        Follower([str(work)], cache=False),
        lambda runs: runs,
        lambda runs: compare(runs, Question()),
    )


@pytest.fixture
def server(report):
    with ReportServer(report, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def write(root, step, loss):
    with open(root / "at_work/metrics.csv", "a") as file:
        file.write(f"{step},2026-03-01T12:10:00Z,{loss}\n")


def finish(root):
    path = root / "at_work/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "finished"}))


def get(server, path, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def test_a_run_at_work_is_drawn_and_joins_the_table_when_it_has_finished(work, report):
    first = json.loads(report.news(-1))
    assert [one["label"] for one in first["running"]] == [f"{work}/at_work"]
    assert first["running"][0]["curve"]["steps"] == [0, 50, 100]
    assert report.news(first["version"]) is None

    write(work, 150, 0.25)
    second = json.loads(report.news(first["version"]))
    assert second["running"][0]["curve"]["mean"][-1] == 0.25
    assert second["groups"] == first["groups"]

    finish(work)
    third = json.loads(report.news(second["version"]))
    assert third["running"] == []
    assert third["groups"][0]["label"] == "algo.lr=0.01"


def test_only_what_is_new_is_read(work, monkeypatch):
    follower = Follower([str(work)], cache=False)
    monkeypatch.setattr(following.time, "time_ns", lambda: 1 << 62)  # everything has long settled
    for run in follower.look():
        follower.rows(run)
    read = []
    original = incremental.open_regular
    monkeypatch.setattr(
        incremental, "open_regular", lambda path: read.append(path) or original(path)
    )
    parsed = []
    parse = following.parse
    monkeypatch.setattr(following, "parse", lambda texts: parsed.extend(texts) or parse(texts))

    write(work, 150, 0.25)
    runs = follower.look()
    rows = [follower.rows(run) for run in runs]

    assert set(read) == {f"{work}/at_work/metrics.csv"}
    assert [bytes(text.body) for text in parsed] == [b"150,2026-03-01T12:10:00Z,0.25\n"]
    assert sorted(history.matrix.shape[1] for history in rows)[-1] == 4
    assert follower.look() == runs


def test_runs_that_come_and_go_are_noticed(work, write_run):
    follower = Follower([str(work), str(work.parent / "later")], cache=False)
    before = [run.name for run in follower.look()]
    write_run(work.parent / "later", "new")
    shutil.rmtree(work / "broken")
    shutil.rmtree(work / "lr0.001")

    after = [run.name for run in follower.look()]

    gone = {name for name in before if "broken" in name or "lr0.001/" in name}
    assert set(after) == (set(before) - gone) | {f"{work.parent}/later/new"}


def test_a_header_that_widens_while_the_run_is_followed(work):
    follower = Follower([str(work)], cache=False)

    def rows():
        (run,) = [run for run in follower.look() if run.name.endswith("at_work")]
        return follower.rows(run)

    assert rows().names == ["val/loss"]
    path = work / "at_work/metrics.csv"
    path.write_text(path.read_text().replace("val/loss\n", "val/loss,late\n", 1))
    write(work, 150, "0.25,7.0")

    assert rows().names == ["val/loss", "late"]
    assert rows().column("late")[2].tolist() == [7.0]


def test_when_all_that_could_be_compared_is_gone_the_last_state_stays(work, report):
    before = json.loads(report.news(-1))
    shutil.rmtree(work)

    assert report.news(before["version"]) is None
    with pytest.raises(ComparisonError):
        LiveReport(
            Follower([str(work)]), lambda runs: runs, lambda runs: compare(runs, Question("loss"))
        )


def test_it_serves_the_page_the_news_and_the_runs(work, server):
    answer, page = get(server, "/")
    assert (answer.status, answer.getheader("Content-Type")) == (200, "text/html; charset=utf-8")
    assert "connect-src 'self'" in page
    _, text = get(server, "/data?version=-1")
    data = json.loads(text)
    assert get(server, f"/data?version={data['version']}")[0].status == 204
    answer, text = get(server, "/" + data["groups"][0]["runs"][0]["href"])
    assert answer.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert text.startswith(f"{work}/lr0.001/seed0: finished")


@pytest.mark.parametrize(
    "path", ["/run?name=/etc/passwd", "/run", "/../../etc/passwd", "/at_work/run.json", "/x"]
)
def test_it_serves_nothing_else(server, path):
    answer, _ = get(server, path)
    assert answer.status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1"]
)
@pytest.mark.parametrize("path", ["/", "/data", "/run"])
def test_a_name_that_another_site_gave_this_machine_is_refused(server, host, path):
    answer, body = get(server, path, host.format(port=server.server_port))
    assert answer.status == 421
    assert body == "not served by this name\n"
    assert get(server, "/", f"localhost:{server.server_port}")[0].status == 200


def test_it_listens_on_this_machine_only(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"


def last_point(page, label):
    curve = page.locator(f'#chart .curve[data-group="{label}"]')
    return curve.get_attribute("d").rpartition("L")[2]


def test_the_page_follows_the_runs_and_stays_where_the_reader_is(open_page, work, server):
    page = open_page(server.url, viewport={"width": 900, "height": 500})
    running = f"{work}/at_work"
    page.locator("#legend button", has_text="algo.lr=0.0001").click()
    page.get_by_role("button", name="algo.lr", exact=True).click()
    page.locator("#filter").fill("lr=0.00")
    page.locator(".open").nth(1).click()
    page.locator("#smoothing").fill("0.5")
    page.locator("#legend button").first.focus()
    page.evaluate("window.scrollTo(0, 350)")
    colour = page.locator(f'#chart .curve[data-group="{running}"]').get_attribute("stroke")
    before = last_point(page, running)

    write(work, 500, 0.125)
    page.wait_for_function(
        "([label, last]) => !document.querySelector(`#chart .curve[data-group='${label}']`)"
        ".getAttribute('d').endsWith(last)",
        arg=[running, before],
        timeout=60_000,
    )

    assert page.locator("#others tbody tr", has_text="at_work").inner_text().split()[2:4] == [
        "500",
        "0.125",
    ]
    assert page.evaluate("window.scrollY") == 350
    assert page.locator("#chart .curve").count() == 2  # the one that was switched off stays off
    assert page.locator("#table th").first.get_attribute("aria-sort") == "ascending"
    assert page.locator("#filter").input_value() == "lr=0.00"
    assert page.locator("tr.runs:visible").count() == 1
    assert page.locator("#smoothing").input_value() == "0.5"
    assert page.evaluate("document.activeElement.dataset.key") == "legend algo.lr=0.001"
    page.locator("#chart").focus()
    page.keyboard.press("End")
    assert "step 1000" in page.locator("#tooltip").inner_text()

    finish(work)
    page.wait_for_function("() => data.running.length === 0", timeout=60_000)

    assert "step 1000" in page.locator("#tooltip").inner_text()
    curve = page.locator('#chart .curve[data-group="algo.lr=0.01"]')
    assert curve.count() == 1
    assert curve.get_attribute("stroke") != colour
    assert "live" in page.locator("#pulse").inner_text()


def test_the_page_says_when_its_server_has_stopped(open_page, server):
    page = open_page(server.url)
    page.route("**/data*", lambda route: route.abort())

    page.wait_for_function(
        "() => document.getElementById('pulse').textContent.includes('stopped')", timeout=60_000
    )
    assert page.locator("#chart .curve").count() == 3
    page.close()
    assert {line.partition(":")[0] for line in open_page.complaints} == {"Failed to load resource"}
    open_page.complaints.clear()
