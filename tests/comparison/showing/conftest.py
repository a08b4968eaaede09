"""A browser for tests of pages, where there is one."""

import pytest

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser():
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
