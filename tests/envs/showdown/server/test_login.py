"""Who plays: names and passwords, at servers that ask for them."""

import asyncio
import contextlib
import json
import threading
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from websockets.asyncio.server import serve

from poke.envs.showdown.installation import ShowdownError
from poke.envs.showdown.names import BattleError
from poke.envs.showdown.server.client import Client
from poke.envs.showdown.server.places import (
    LOGIN,
    PASSWORD,
    USERNAME,
    Account,
    Secret,
    account_from_environment,
    login_url,
    said,
    user_id,
    websocket_url,
)

SECRET = "correct horse"


@pytest.fixture
def login_server():
    """A login server that signs for one password."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            signed = "signed" if asked["pass"] == [SECRET] else False
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"]" + json.dumps({"assertion": signed}).encode())

        def log_message(self, *values):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/action.php?"
        running.shutdown()
        thread.join()


async def guarded(socket):
    """A server that lets in who is signed for."""
    await socket.send("|updateuser| Guest 1|0|1|{}\n|challstr|4|abc")
    async for message in socket:
        name, _, assertion = message.removeprefix("|/trn ").split(",")
        if assertion == "signed":
            await socket.send(f"|updateuser| {name}@!|1|1|{{}}")
            await socket.close()
        else:
            await socket.send(f"|nametaken|{name}|Your authentication token was invalid.\x1b[31m")


def come(account, login):
    """Let somebody come to the guarded server; return how often it was let in, and why not."""

    async def run():
        async with serve(guarded, "127.0.0.1", 0) as running:
            url = f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}"
            nothing = lambda *values: None  # noqa: E731
            client = Client(account, url, login=login, on_room=nothing, on_challenge=nothing)
            with pytest.raises(ShowdownError) as caught:
                await client.listen()
            return client.num_logins, caught.value

    return asyncio.run(run())


def test_a_registered_name_comes_in_with_its_password(login_server):
    logins, error = come(Account("Ann", Secret(SECRET)), login_server)
    assert logins == 1
    assert str(error).endswith("is lost: the server has closed it")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        (Secret("wrong"), "it does not take the name with this password, and says: "),
        (None, f"it does not give the name to who has no password ({PASSWORD}), and says: "),
    ],
)
def test_who_may_not_come_in_is_told_in_a_line(login_server, password, why):
    logins, error = come(Account("Ann", password), login_server)
    assert logins == 0
    assert f"does not let Ann in: {why}Your authentication token was invalid. [31m" in str(error)


@pytest.mark.parametrize("answer", [b"", b"]", b"no JSON", b"]{}", b"][]", None])
def test_a_login_server_that_is_none_is_said_and_no_password_is(answer, capsys, caplog):
    async def run():
        async def speak(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            if answer is not None:
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
                writer.write(head.encode() + answer)
            with contextlib.suppress(ConnectionError):
                writer.close()
                await writer.wait_closed()

        running = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = running.sockets[0].getsockname()[1]
        ready.set_result(port)
        await over.wait()
        running.close()

    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    ready = Future()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    logins, error = come(
        Account("Ann", Secret(SECRET)), f"http://127.0.0.1:{ready.result()}/action.php?"
    )
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()
    assert logins == 0
    assert "does not answer as one" in str(error)
    printed = capsys.readouterr()
    told = [repr(error), repr(error.__cause__), printed.out, printed.err, caplog.text]
    assert not any(SECRET in text for text in told)


def test_a_password_is_in_no_representation():
    account = Account("Ann", Secret(SECRET))
    assert SECRET not in repr(account) + repr([account.password]) + f"{account!r}"


def test_the_environment_says_who_plays(monkeypatch):
    monkeypatch.setenv(USERNAME, "Ann")
    monkeypatch.delenv(PASSWORD, raising=False)
    assert account_from_environment() == Account("Ann")
    monkeypatch.setenv(PASSWORD, SECRET)
    assert account_from_environment() == Account("Ann", SECRET)


@pytest.mark.parametrize("name", ["", "  ", "123", "a" * 19, "a|b", "a,b", "a\nb"])
def test_names_that_no_server_takes_are_refused(monkeypatch, name):
    monkeypatch.setenv(USERNAME, name)
    with pytest.raises(BattleError, match=USERNAME):
        account_from_environment()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("ws://localhost:8000", "ws://localhost:8000/showdown/websocket"),
        ("https://sim3.psim.us/", "wss://sim3.psim.us/showdown/websocket"),
        ("wss://host/elsewhere/websocket", "wss://host/elsewhere/websocket"),
    ],
)
def test_a_server_is_where_its_address_says(given, url):
    assert websocket_url(given) == url


@pytest.mark.parametrize(
    "given",
    ["", "localhost:8000", "ftp://host", "wss://", "ws://host:port", f"wss://ann:{SECRET}@host"],
)
def test_what_is_no_address_is_refused_and_not_repeated(given):
    with pytest.raises(BattleError) as caught:
        websocket_url(given)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("given", [LOGIN, "http://127.0.0.1:80/action.php?"])
def test_a_password_goes_where_nobody_listens(given):
    assert login_url(given) == given


@pytest.mark.parametrize("given", ["http://play.pokemonshowdown.com/action.php?", "", "ftp://host"])
def test_a_password_goes_nowhere_else(given):
    with pytest.raises(BattleError, match="--login"):
        login_url(given)


def test_what_others_write_obeys_nobody():
    assert said("a\x1b[2J\nb\tc\u202e") == "a [2J b c"
    assert len(said("x" * 1000)) == 200
    assert user_id("Mr. Ée 7!") == "mre7"
