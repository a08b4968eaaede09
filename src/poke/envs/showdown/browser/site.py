"""The page of a game, served to this machine alone and to whoever was told its address."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from poke.envs.showdown.browser.board import Board
from poke.envs.showdown.watching.page import fill
from poke.envs.showdown.watching.page import read as read_shared

PAGE = Path(__file__).parent / "page"
CLICKS = ("choose", "forfeit", "again")
_WAIT_SECONDS = 20.0  # of a page for news; then it asks again
_MAX_BODY = 1000
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the address is the key
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Site:
    """A context manager: inside it the page answers at `url`.

    The address holds a secret: other pages in the same browser, and other users of the machine, do not know it.

    Args:
        board: what is shown, and who hears the clicks.
        port: to listen on; 0 for any.
    """

    def __init__(self, board: Board, port: int = 0) -> None:
        self._board = board
        self._token = secrets.token_urlsafe(16)
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.board, self._server.root = board, f"/{self._token}/"
        self._thread = threading.Thread(target=self._server.serve_forever, name="site", daemon=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{self._token}/"

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._board.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True  # nobody is cut off in the middle of an answer
    board: Board
    root: str

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a page that was closed while it was answered; that is no fault."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 60  # of a connection that says nothing

    def do_GET(self) -> None:
        place = self._place()
        query = parse_qs(urlsplit(self.path).query)
        if place == "":
            self._answer(HTTPStatus.OK, "text/html", _page().encode())
        elif place == "state":
            news = self.server.board.news(_number(query, "after"), _WAIT_SECONDS)
            status = HTTPStatus.NO_CONTENT if news is None else HTTPStatus.OK
            self._answer(status, "application/json", news or b"")
        elif place == "thoughts" and (page := self.server.board.page(_number(query, "battle"))):
            self._answer(HTTPStatus.OK, "text/html", page.encode())
        else:
            self._refuse()

    def do_POST(self) -> None:
        place = self._place()
        length = self.headers.get("Content-Length", "0")
        if place not in CLICKS or not length.isdecimal() or int(length) > _MAX_BODY:
            self._refuse()
            return
        try:
            told = json.loads(self.rfile.read(int(length)) or "{}")
            numbers = {str(name): int(value) for name, value in told.items()}
        except (ValueError, TypeError, AttributeError):
            self._answer(HTTPStatus.BAD_REQUEST, "text/plain", b"this is no click\n")
            return
        self.server.board.clicked(place, numbers)
        self._answer(HTTPStatus.NO_CONTENT, "text/plain", b"")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of every request."""

    def _place(self) -> str | None:
        """Return what is asked for, None where the secret is missing."""
        path = urlsplit(self.path).path
        root = self.server.root
        has_key = secrets.compare_digest(path[: len(root)].encode(), root.encode())
        return path[len(root) :] if has_key else None

    def _refuse(self) -> None:
        self.close_connection = True  # what else was sent is not read
        self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there is nothing here\n")

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _number(query: Mapping[str, list[str]], name: str) -> int:
    text = query.get(name, [""])[0]
    return int(text) if text.isdecimal() else -1


def _page() -> str:
    own = {
        part: (PAGE / part).read_text(encoding="utf-8")
        for part in ("play.html", "play.css", "play.js")
    }
    scripts = [read_shared("elements.js"), read_shared("field.js"), own["play.js"]]
    style = read_shared("page.css") + own["play.css"]
    return fill(own["play.html"], {"style": style, "script": "\n".join(scripts)})
