"""Draw the picture of the status page in the documentation, from invented jobs.

    python -m tests.perf.draw_status_page [PICTURE]

Needs Chromium. Nothing in the picture is of a patient: the slices are discs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ctdenoise.config.http import HttpSettings
from ctdenoise.core.provenance import digest
from ctdenoise.jobs.exposition import ServiceMetrics
from tests.browser import running_browser
from tests.status_service import Service, made_series, served, service_in

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "status_page.png"
SIZE = (1100, 1800)


def fill(service: Service, metrics: ServiceMetrics) -> None:
    """A morning."""
    for number in range(3):
        noise = 21.4 + 1.9 * number
        series = made_series(
            1, slices=288 + 12 * number, seconds=38.2 + number, noise_before_hu=noise,
            noise_after_hu=0.41 * noise,
        )  # fmt: skip
        id_ = service.job(number_of(number), "done", series=(series,))
        service.picture(id_, 1)
        metrics.ended("done")
    service.job(number_of(10), "running")
    service.job(number_of(11), "ready")
    service.job(
        number_of(12),
        "ready",
        reason="the worker was lost; it is tried again",
        not_before=time.time() + 55,
    )
    service.job(number_of(13), "receiving")
    service.job(number_of(20), "dead-letter", reason="archive: no answer in 60 s, 10 times")
    service.job(
        number_of(30),
        "refused",
        reason="3 of 120 slices are missing (first gap after z = 212.5 mm).",
    )


def number_of(place: int) -> int:
    """A number that looks like the digest of a study."""
    return int(digest(place, length=12), 16)


def main(words: Sequence[str] | None = None) -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path, nargs="?", default=PICTURE)
    given = parser.parse_args(words)
    metrics = ServiceMetrics("1.2.3")
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        with service_in(state) as service:
            fill(service, metrics)
            with (
                served(service, HttpSettings(port=0), metrics=metrics) as endpoint,
                running_browser(Path(folder) / "browser") as browser,
                browser.visit(endpoint.url + "/", width=SIZE[0], height=SIZE[1]) as page,
            ):
                page.evaluate(
                    "document.querySelectorAll('code').forEach(c => c.textContent = "
                    f"c.textContent.replace('{state}', '/var/lib/ctdenoise'))"
                )
                given.picture.write_bytes(page.screenshot())


if __name__ == "__main__":
    main()
