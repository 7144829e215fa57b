"""Studies at a steady pace for a long time, and what the server takes meanwhile."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pacs.consumption import Consumption, consumption
from tests.pacs.destination import Destination
from tests.pacs.oracle import examine_destination, examine_files
from tests.pacs.oracle_ledger import examine_ledger
from tests.pacs.senders import by_dcmtk
from tests.pacs.sent_studies import SentStudy, make_study
from tests.pacs.service_process import Service, end, wait_until


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of a soak.

    Args:
        problems: What was lost, came twice or is half.
        studies: How many were sent.
        ended: How many of them ended in which state.
        minutes: How long they were sent for.
        looks: What the server took.
    """

    problems: tuple[str, ...]
    studies: int
    ended: Mapping[str, int]
    minutes: float
    looks: tuple[Consumption, ...]


def soak(
    folder: Path,
    settings: Mapping[str, Any],
    place: Destination,
    *,
    minutes: float,
    study_every_s: float,
    look_every_s: float,
    told: Callable[[Consumption], None] | None = None,
) -> Soaked:
    """Send a study every few seconds, and look at the server as often.

    Args:
        folder: A folder for everything.
        settings: Of `serve`.
        place: Where results go.
        minutes: For how long.
        study_every_s: Pace of the studies.
        look_every_s: Pace of the looks.
        told: Called with each of them.
    """
    running = Service(folder / "service", settings)
    sent: list[SentStudy] = []
    looks: list[Consumption] = []
    try:
        running.start()
        began = time.monotonic()
        feeder = threading.Thread(
            target=_feed,
            args=(folder / "sent", running.port, sent, began + 60 * minutes, study_every_s),
        )
        feeder.start()
        pause = threading.Event()
        while feeder.is_alive():
            looks.append(consumption(running, (time.monotonic() - began) / 60))
            if told is not None:
                told(looks[-1])
            pause.wait(look_every_s)
        feeder.join()
        wait_until(
            lambda: not examine_ledger(running.state, sent).problems,
            what="every study has ended",
            timeout_s=600,
        )
        account = examine_ledger(running.state, sent)
        running.stop()
    finally:
        end(running)
    arrived = examine_destination(place.kept(), place.deliveries(), processed=sent)
    problems = [*account.problems, *arrived.problems, *examine_files(running.state)]
    problems += ["something came twice"] * arrived.twice
    ended = dict(Counter(account.states.values()))
    return Soaked(tuple(problems), len(sent), ended, minutes, tuple(looks))


def _feed(
    folder: Path, port: int, sent: list[SentStudy], until: float, study_every_s: float
) -> None:
    pause, due = threading.Event(), time.monotonic()
    while time.monotonic() < until:
        study = make_study(folder, f"soak{len(sent)}", fates=("wanted", "unwanted"))
        done = by_dcmtk("dcmsend", study.paths, port)
        assert done.returncode == 0, done.stderr
        shutil.rmtree(study.folder)
        sent.append(study)
        due += study_every_s
        pause.wait(max(due - time.monotonic(), 0))
