"""The page's server: what it answers, and to whom."""

import http.client
import json
import threading
from urllib.parse import urlsplit

import pytest

from poke.envs.showdown.browser.board import Board
from poke.envs.showdown.browser.site import Site


@pytest.fixture
def served():
    """A site, its board, what was clicked, and who asks it."""
    clicks = []
    board = Board(lambda place, numbers: clicks.append((place, numbers)))
    with Site(board) as site:
        url = urlsplit(site.url)

        def ask(method, path, body=None):
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
            connection.request(method, path, body)
            answer = connection.getresponse()
            said = answer.read().decode()
            connection.close()
            return answer, said

        yield board, clicks, url.path, ask


def test_the_page_needs_nothing_from_elsewhere(served):
    _, _, root, ask = served
    answer, page = ask("GET", root)
    assert answer.status == 200
    assert "default-src 'none'" in page
    assert "{{" not in page
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_who_does_not_know_the_address_sees_and_plays_nothing(served):
    board, clicks, root, ask = served
    board.post({"secret": 1})
    board.keep("<p>thoughts</p>")
    wrong = "/" + "A" * (len(root) - 2) + "/"
    for path in ("", "state?after=-1", "thoughts?battle=0", "choose"):
        for base in ("/", wrong, root.rstrip("/")[:-1] + "/"):
            assert ask("GET", base + path)[0].status == 404
            assert ask("POST", base + path, "{}")[0].status == 404
    assert clicks == []
    assert ask("GET", f"{root}state?after=0")[0].status == 200


def test_it_listens_to_this_machine_alone():
    with Site(Board(lambda *_: None)) as site:
        assert site._server.server_address[0] == "127.0.0.1"
        assert len(urlsplit(site.url).path) >= 20


def test_news_come_when_there_are_any(served):
    board, _, root, ask = served
    heard = []

    def listen():
        heard.append(json.loads(ask("GET", f"{root}state?after=1")[1]))

    board.post({"turn": 1})
    assert json.loads(ask("GET", f"{root}state?after=0")[1]) == {"turn": 1, "version": 1}
    waiting = threading.Thread(target=listen)
    waiting.start()
    board.post({"turn": 2})
    waiting.join()
    assert heard == [{"turn": 2, "version": 2}]


def test_who_waits_is_let_go_at_the_end(served):
    board, _, root, ask = served
    board.post({})
    waiting = threading.Thread(target=lambda: ask("GET", f"{root}state?after=1"))
    waiting.start()
    board.close()
    waiting.join()


def test_clicks_are_numbers(served):
    _, clicks, root, ask = served
    assert ask("POST", f"{root}choose", '{"number": 3, "action": 7}')[0].status == 204
    assert ask("POST", f"{root}again")[0].status == 204
    for wrong in ("[1]", "{", '{"number": "x"}', '{"number": null}', '"a"'):
        assert ask("POST", f"{root}choose", wrong)[0].status == 400
    assert ask("POST", f"{root}choose", "1" * 2000)[0].status == 404
    assert ask("POST", f"{root}state", "{}")[0].status == 404
    assert clicks == [("choose", {"number": 3, "action": 7}), ("again", {})]


def test_thoughts_are_there_once_they_are_kept(served):
    board, _, root, ask = served
    assert ask("GET", f"{root}thoughts?battle=0")[0].status == 404
    number = board.keep("<p>thoughts</p>")
    assert ask("GET", f"{root}thoughts?battle={number}")[1] == "<p>thoughts</p>"
    assert ask("GET", f"{root}thoughts?battle={number + 1}")[0].status == 404
    assert ask("GET", f"{root}thoughts")[0].status == 404
