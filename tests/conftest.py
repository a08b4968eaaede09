import signal

import pytest

from .processes.commands import Zygote


def pytest_configure() -> None:
    """Heed signals that whoever started the tests ignores, and what they start would inherit.

    A shell ignores Ctrl-C in the background, nohup a closed terminal.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # The tests go on; what they start begins with the default.
        signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.fixture(scope="session")
def zygote():
    with Zygote() as running:
        yield running
