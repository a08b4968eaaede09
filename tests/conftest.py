import os
import random
import signal

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from .processes.commands import Zygote

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


# As a run does. With tests side by side, threads of torch's and numpy's wait for each other at the processors' expense.
torch.set_num_threads(1)
threadpool_limits(1, user_api="blas")


def pytest_configure() -> None:
    """Heed signals that whoever started the tests ignores, and what they start would inherit.

    A shell ignores Ctrl-C in the background, nohup a closed terminal.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # The tests go on; what they start begins with the default.
        signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Run half as many tests again as there are processors: many wait for processes that they started."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    return max(2, 3 * (os.cpu_count() or 1) // 2)


@pytest.fixture(autouse=True)
def same_chances():
    """Draw the same whenever a test runs: one that fails fails again, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def zygote():
    with Zygote() as running:
        yield running


@pytest.fixture(scope="session")
def installed():
    """Skip where node or the pokemon-showdown package is missing."""
    from poke.envs.showdown.installation import ShowdownError, find_node, find_package

    try:
        find_node(), find_package()
    except ShowdownError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def alone():
    """A process group of this process: what several share it shares with nobody, in the same form."""
    import torch.distributed as dist

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def mesh(alone):
    """A mesh of that process alone."""
    from torch.distributed.device_mesh import DeviceMesh

    return DeviceMesh("cpu", [0])


@pytest.fixture(scope="module")
def browser():
    """A browser for tests of pages, where there is one."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the browser tests need playwright"
    )
    with playwright.sync_playwright() as driver:
        try:
            opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        except playwright.Error:
            pytest.skip(f"the browser tests need {CHROMIUM}")
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser):
    """Open a page; it may not complain, nor ask anybody else for anything."""
    contexts = []
    complaints = []

    def open_it(url, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        origin = url if url.startswith("http:") else "file:"
        page.on(
            "request",
            lambda request: request.url.startswith(origin) or complaints.append(request.url),
        )
        page.goto(url)
        return page

    open_it.complaints = complaints
    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []
