"""A local Pokemon Showdown server that lives exactly as long as it is wanted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from importlib import resources
from pathlib import Path
from types import TracebackType

from poke.envs.showdown.installation import ShowdownError, find_node, find_package

_START_SECONDS = 600.0  # one that does not start ends; a slow machine needs its time
_STOP_SECONDS = 10.0
_END_SECONDS = 1.0  # from its last connection to its own end
_CONFIG = """\
exports.port = 0;                    // the system's choice
exports.bindaddress = "127.0.0.1";
exports.subprocesses = 0;            // one process: nothing can outlive it
exports.watchconfig = false;
exports.repl = false;
exports.loguserstats = 0;
"""


class ShowdownServer:
    """A context manager: inside it the server answers on `port`, afterwards it is gone.

    While it runs, `root` is the server's own directory.

    Every server runs in a temporary directory of its own made of links into the installed package,
    so that several may run side by side and none writes into the package. It ends when this
    process closes its end of a pipe, which the operating system does even for a killed one.

    Raises:
        ShowdownError: node or the package is missing, or the server does not start; in place of one raised inside:
            the server has ended by itself.
    """

    def __init__(self) -> None:
        self.port = 0
        self.root: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def websocket_url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/showdown/websocket"

    def __enter__(self) -> ShowdownServer:
        node, package = find_node(), find_package()
        self.root = _private_root(package)
        log = self.root / "server.log"
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    [
                        str(node),
                        # Links are not followed, so that the server's root is ours.
                        "--preserve-symlinks",
                        "--preserve-symlinks-main",
                        str(resources.files(__package__).joinpath("serve.cjs")),
                        str(self.root),
                        "--no-security",
                        "--skip-build",
                    ],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for us to handle
                )
            self.port = self._await_port(log)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        why = self._why_ended() if isinstance(error, ShowdownError) else ""
        self.close()
        if why:
            raise ShowdownError(f"the Pokemon Showdown server {why}") from error

    def _why_ended(self) -> str:
        """Return how it ended, '' where it runs."""
        assert self._process is not None
        assert self.root is not None
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        said = (self.root / "server.log").read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "nothing")
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit {code}"
        return f"{how}, and said last: {last}"

    def close(self) -> None:
        """Stop the server and remove its directory; may be called twice."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.root is not None:
            shutil.rmtree(self.root, ignore_errors=True)

    def _await_port(self, log: Path) -> int:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            said = log.read_text(errors="replace")
            found = re.search(r"^listening on port (\d+)$", said, re.MULTILINE)
            if found:
                return int(found.group(1))
            if ended:
                lines = [line.strip() for line in said.splitlines() if line.strip()]
                why = next((line for line in lines if "Error" in line), "".join(lines[-1:]))
                raise ShowdownError(f"the Pokemon Showdown server did not start: {why}")
            time.sleep(0.05)
        raise ShowdownError(
            f"the Pokemon Showdown server did not answer within {_START_SECONDS:.0f} seconds"
        )


def _private_root(package: Path) -> Path:
    root = Path(tempfile.mkdtemp(prefix="poke-showdown-"))
    for name in ("config/chat-plugins", "logs/repl", "databases"):
        (root / name).mkdir(parents=True)
    (root / "config" / "config.js").write_text(_CONFIG)
    for name in ("dist", "data", "server", "translations", "package.json"):
        os.symlink(package / name, root / name)
    os.symlink(package.parent, root / "node_modules")
    return root
