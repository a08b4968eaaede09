"""Serve a live report to the browsers of this machine, and to nobody else."""

from __future__ import annotations

import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any
from urllib.parse import parse_qs, urlsplit

from poke.comparison.showing.live import LiveReport

ADDRESS = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ReportServer(ThreadingHTTPServer):
    """Answers ``/`` with the page, ``/data?version=N`` with what is newer, ``/run?name=RUN`` with a run in full.

    Args:
        report: what it serves.
        port: where it listens; 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True  # a browser that keeps a connection open keeps no process alive

    def __init__(self, report: LiveReport, port: int) -> None:
        self.report = report
        super().__init__((ADDRESS, port), _Handler)
        # A page of another site may send a browser here under a name of its own; it may not read the answers.
        self.hosts = {f"{host}:{self.server_port}" for host in (ADDRESS, "localhost")}

    @property
    def url(self) -> str:
        """Where a browser finds the report."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Say nothing of a browser that went away in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer
    protocol_version = "HTTP/1.1"
    timeout = 60  # of a connection that nothing is asked on

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"not served by this name\n")
            return
        url = urlsplit(self.path)
        query = parse_qs(url.query, errors="surrogateescape")
        report = self.server.report
        if url.path == "/":
            self._answer(HTTPStatus.OK, "text/html", report.page().encode())
        elif url.path == "/data":
            version = query.get("version", [""])[0]
            news = report.news(int(version) if version.isdecimal() else -1)
            status = HTTPStatus.NO_CONTENT if news is None else HTTPStatus.OK
            self._answer(status, "application/json", news or b"")
        elif url.path == "/run" and (text := report.run(query.get("name", [""])[0])) is not None:
            self._answer(HTTPStatus.OK, "text/plain", text.encode("utf-8", "replace"))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there is nothing here\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of every request."""

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
