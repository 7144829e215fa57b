"""The status page in a browser: what people see, and what the browser does for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from ctdenoise.config.http import HttpSettings
from ctdenoise.jobs.facts import DestinationFacts, EntranceFacts
from tests.browser import Browser, running_browser
from tests.status_service import HOSTILE, Service, facts, job_id, made_series, served, service_in

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
LONG = "the peer aborted " * 40 + "x" * 400


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def service(tmp_path) -> Iterator[Service]:
    with service_in(tmp_path / "state") as filled:
        for number in range(3):
            id_ = filled.job(number, "done", series=(made_series(1, description=HOSTILE),))
            filled.picture(id_, 1)
        filled.job(10, "running")
        filled.job(11, "ready", reason=LONG, not_before=time.time() + 500)
        for number in range(20, 35):
            filled.job(number, "dead-letter", reason=LONG)
        filled.job(40, "refused", reason=HOSTILE)
        yield filled


def troubled():
    return facts(
        is_dispatching=False,
        entrances=(EntranceFacts("receiver " + "A" * 90, is_open=False, problem=LONG),),
        destinations=(
            DestinationFacts("B" * 90, "dimse", last_failure=time.time(), last_reason=LONG),
        ),
    )


def test_the_page_loads_whole_quietly_and_from_here_alone(browser, service):
    with served(service) as endpoint, browser.visit(endpoint.url + "/", **DESKTOP) as seen:
        assert seen.console == []
        assert {urlsplit(url).netloc for url in seen.requests} == {f"127.0.0.1:{endpoint.port}"}
        assert set(seen.statuses.values()) == {200}
        assert any("thumbnails" in url for url in seen.requests)
        assert seen.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
        assert seen.evaluate(
            "getComputedStyle(document.querySelector('section')).borderRadius"
        ) == (
            "10px"  # the policy lets its own styles through
        )


def test_the_page_says_what_the_ledger_says(browser, service):
    with served(service) as endpoint, browser.visit(endpoint.url + "/", **DESKTOP) as seen:
        shown = dict(
            seen.evaluate(
                "[...document.querySelectorAll('.states a')].map(a => "
                "[a.querySelector('.name').innerText, a.querySelector('.count').innerText])"
            )
        )
        counts = {state: f"{count:,}" for state, count in service.ledger.counts().items()}
    assert shown == counts


def test_hostile_text_is_text(browser, service):
    with served(service) as endpoint, browser.visit(endpoint.url + "/", **DESKTOP) as seen:
        assert seen.evaluate("document.title") == "ctdenoise service"
        assert seen.evaluate("document.scripts.length") == 0
        assert seen.evaluate("document.querySelectorAll('img[onerror]').length") == 0
        assert HOSTILE in seen.evaluate("document.body.innerText")


def test_a_browser_runs_no_script_even_if_one_slipped_in(browser, service):
    slipped_in = (
        "const s = document.createElement('script'); s.textContent = \"document.title='taken'\";"
        "document.head.append(s); document.title"
    )
    with served(service) as endpoint, browser.visit(endpoint.url + "/", **DESKTOP) as seen:
        assert seen.evaluate(slipped_in) == "ctdenoise service"
        assert any("Content Security Policy" in text for text in seen.console)


@pytest.mark.parametrize("path", ["/", "/?state=dead-letter", "/?state=done", "job"])
@pytest.mark.parametrize("known", [facts, troubled], ids=["well", "troubled"])
def test_nothing_is_wider_than_a_phone(browser, service, path, known):
    job = f"/jobs/{job_id(20)}"
    with (
        served(service, known=known) as endpoint,
        browser.visit(endpoint.url + (job if path == "job" else path), **PHONE) as seen,
    ):
        assert seen.evaluate("document.documentElement.scrollWidth") == 390
        widest = "Math.max(...[...document.querySelectorAll('main *')].map("
        assert seen.evaluate(widest + "e => e.getBoundingClientRect().right))") <= 390


def test_in_the_dark_it_is_dark(browser, service):
    ground = "getComputedStyle(document.body).backgroundColor"
    with served(service) as endpoint:
        with browser.visit(endpoint.url + "/", **DESKTOP, is_dark=True) as seen:
            assert seen.evaluate(ground) == "rgb(15, 20, 25)"
        with browser.visit(endpoint.url + "/", **DESKTOP) as seen:
            assert seen.evaluate(ground) == "rgb(246, 248, 250)"


def test_it_loads_itself_again(browser, service):
    settings = HttpSettings(port=0, refresh_s=1)
    with (
        served(service, settings) as endpoint,
        browser.visit(endpoint.url + "/", **DESKTOP) as seen,
    ):
        end = time.monotonic() + 60
        while sum(url == endpoint.url + "/" for url in seen.requests) < 2:
            assert time.monotonic() < end
            seen.evaluate("1")  # what happened meanwhile is told with the answer


def test_without_jobs_it_says_so(browser, tmp_path):
    with (
        service_in(tmp_path / "state") as empty,
        served(empty) as endpoint,
        browser.visit(endpoint.url + "/", **PHONE) as seen,
    ):
        assert seen.evaluate("document.body.innerText").count("None.") == 4
        assert seen.console == []
