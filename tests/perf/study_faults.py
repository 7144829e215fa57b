"""The server and its workers killed at random moments while scanners send: what came of it.

    python -m tests.perf.study_faults [--server-kills 50] [--worker-kills 50] [--seed 1]

Studies of 64 x 64 pixels are sent by two scanners all the while. Printed is what was under way when
the server was killed, how much was begun again, what came twice over the wire, and every problem
that `tests/pacs/oracle.py` finds. It fails if there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.pacs.destination import destination
from tests.pacs.kill_session import Plan, run_session
from tests.pacs.service_settings import service_settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server-kills", type=int, default=50)
    parser.add_argument("--worker-kills", type=int, default=50)
    parser.add_argument("--longest-life", type=float, default=8.0, help="seconds")
    parser.add_argument(
        "--quiet", type=float, default=4.0, help="seconds until a study is complete"
    )
    parser.add_argument("--minutes", type=float, default=60, help="no more kills after so long")
    parser.add_argument("--kind", choices=["dimse", "web"], default="dimse")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="kept; a temporary one by default")
    options = parser.parse_args()
    plan = Plan(
        server_kills=options.server_kills,
        worker_kills=options.worker_kills,
        longest_life_s=options.longest_life,
        seed=options.seed,
        minutes=options.minutes,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        with destination(folder / "destination", options.kind) as place:
            report = run_session(
                folder, service_settings(place, quiet_s=options.quiet), place, plan
            )
    for name, value in asdict(report).items():
        if name != "problems":
            print(f"{name:14}", value)
    print("problems", len(report.problems))
    print("\n".join(report.problems))
    return len(report.problems) > 0


if __name__ == "__main__":
    sys.exit(main())
