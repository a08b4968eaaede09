import signal


def pytest_configure() -> None:
    """Take Ctrl-C where a shell started the tests in the background, which ignores it, and so in what they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
