"""Studies from several senders at once: instances a second through the whole server.

    python -m tests.perf.study_load [--studies 20] [--senders 4] [--slices 24] [--size 128]
        [--model identity] [--workers 1] [--kind dimse]

Each study has a series that is processed and one that is not. They are sent by dcmtk's dcmsend,
first to its storescp, which only stores, then to the server; on a machine that others use look at
the ratio of the two. The results go to a destination, a process of its own on the same machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.pacs.destination import destination
from tests.pacs.load import through_the_server, to_storescp
from tests.pacs.sent_studies import make_study
from tests.pacs.service_settings import service_settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--quiet", type=float, default=1.0, help="seconds")
    parser.add_argument("--model", default="identity")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--kind", choices=["dimse", "web"], default="dimse")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        studies = [
            make_study(folder / "sent", f"load{n}", slices=options.slices, size=options.size)
            for n in range(options.studies)
        ]
        instances = sum(len(study.paths) for study in studies)
        stored_s = to_storescp(folder / "stored", studies, senders=options.senders)
        print(f"storescp  {instances / stored_s:7.1f} instances/s ({stored_s:.1f} s)", flush=True)
        with destination(folder / "destination", options.kind) as place:
            settings = service_settings(
                place, quiet_s=options.quiet, model=options.model, workers=options.workers
            )
            load = through_the_server(folder, settings, place, studies, senders=options.senders)
    print(load.in_words())
    print(f"problems: {len(load.problems)}", *load.problems, sep="\n")
    return len(load.problems) > 0


if __name__ == "__main__":
    sys.exit(main())
