"""Whether the server takes more and more while studies come at a steady pace.

    python -m tests.perf.study_soak [--minutes 60] [--every 4] [--look 10]

A study of two series, 16 instances of 64 x 64 pixels, is sent every few seconds by dcmsend;
one series is processed and sent to a destination. Each look is a line; at the end stands the slope
of each quantity with its standard error over the last three quarters of the time, in units an hour.
What is kept of studies that are done is kept for a few minutes only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.pacs.consumption import Consumption, slopes
from tests.pacs.destination import destination
from tests.pacs.service_settings import service_settings
from tests.pacs.soak import soak

_DAYS_PER_MINUTE = 1 / 1440


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=4.0, help="seconds from study to study")
    parser.add_argument("--look", type=float, default=10.0, help="seconds from look to look")
    parser.add_argument("--keep", type=float, default=5.0, help="minutes that studies are kept")
    options = parser.parse_args()
    keep = options.keep * _DAYS_PER_MINUTE
    retention = {"inbox_days": keep, "refused_days": keep, "results_days": keep}

    def told(look: Consumption) -> None:
        print(" ".join(f"{name}={value:.5g}" for name, value in asdict(look).items()), flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with destination(folder / "destination") as place:
            found = soak(
                folder,
                service_settings(place, retention=retention),
                place,
                minutes=options.minutes,
                study_every_s=options.every,
                look_every_s=options.look,
                told=told,
            )
    settled = [look for look in found.looks if look.minutes > options.minutes / 4]
    print(f"{found.studies} studies in {found.minutes:g} minutes: {dict(found.ended)}")
    print(f"problems: {len(found.problems)}", *found.problems, sep="\n")
    print(f"{'quantity':12} {'mean':>10} {'an hour':>10} {'error':>10}")
    for name, slope in slopes(settled).items():
        print(f"{name:12} {slope.mean:10.2f} {slope.per_hour:10.2f} {slope.error:10.2f}")
    return len(found.problems) > 0


if __name__ == "__main__":
    sys.exit(main())
