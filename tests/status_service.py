"""A service that has something to show, without one that runs: ledger, facts, pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.config.http import HttpSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.jobs.endpoint import Endpoint
from ctdenoise.jobs.exposition import ServiceMetrics
from ctdenoise.jobs.facts import DestinationFacts, EntranceFacts, ReceptionFacts, ServiceFacts
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import State
from ctdenoise.report.pictures import write_picture
from ctdenoise.tasks.serve_status import status_endpoint

PATHS: Mapping[State, tuple[State, ...]] = {
    "receiving": (),
    "ready": (),
    "running": ("running",),
    "made": ("running", "made"),
    "sending": ("running", "made", "sending"),
    "done": ("running", "made", "sending", "done"),
    "refused": ("running", "refused"),
    "dead-letter": ("running", "dead-letter"),
}
"""How a new job comes to each state."""

HOSTILE = "</style></td><script>document.title='taken'</script><img src=x onerror=alert(1)>&amp;"


def facts(**changed: object) -> ServiceFacts:
    """A service that is well."""
    now = time.time()
    values: dict[str, object] = {
        "started": now - 93_784,
        "uptime_s": 93_784.0,
        "is_dispatching": True,
        "is_draining": False,
        "workers": 2,
        "busy": 1,
        "arriving": 1,
        "arriving_instances": 147,
        "disk_free_bytes": 412_300_000_000,
        "disk_limit_bytes": 5_000_000_000,
        "entrances": (
            EntranceFacts("DICOM receiver CTDENOISE, port 11112", is_open=True, connections=2),
            EntranceFacts("watch folder", is_open=True),
        ),
        "destinations": (
            DestinationFacts("archive", "dimse", last_success=now - 62),
            DestinationFacts("research", "dicomweb"),
        ),
        "reception": ReceptionFacts({"full": 0}, {"called-ae": 0}),
    }
    return ServiceFacts(**{**values, **changed})  # type: ignore[arg-type]


def job_id(number: int) -> str:
    """An id of the length that a service gives: parts of two digests."""
    return f"{number:012x}-{number:012x}"


@dataclass(frozen=True)
class Service:
    """A state folder and its ledger."""

    folder: Path
    ledger: Ledger

    def job(
        self,
        number: int,
        state: State,
        *,
        reason: str = "",
        series: tuple[Mapping[str, JsonValue], ...] = (),
        not_before: float | None = None,
        study: str | None = None,
    ) -> str:
        """Add a job and lead it to a state.

        Returns:
            Its id.
        """
        id_ = job_id(number)
        first: State = "receiving" if state == "receiving" else "ready"
        self.ledger.add(Job(id_, "serve", study or f"{number:032x}", state=first))
        result = {"series": list(series)} if series else None
        steps = PATHS[state]
        for step in steps:
            is_last = step == steps[-1]
            self.ledger.move(id_, step, reason=reason if is_last else "", result=result)
        if not_before is not None:
            self.ledger.move(id_, "running")
            self.ledger.move(id_, "ready", reason=reason, not_before=not_before)
        return id_

    def picture(self, id_: str, number: int) -> None:
        """A pair of pictures of a disc with noise, and with less."""
        folder = self.folder / "thumbnails" / id_
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(number)
        y, x = np.mgrid[-1:1:128j, -1:1:128j]
        disc = np.where(x**2 + (1.25 * y) ** 2 < 0.8, 128.0, 8.0)
        for name, noise in (("before", 26.0), ("after", 6.0)):
            grey = np.clip(disc + noise * rng.standard_normal(disc.shape), 0, 255)
            write_picture(folder / f"{number}-{name}.png", grey.astype(np.uint8))


def made_series(number: int = 1, **changed: JsonValue) -> dict[str, JsonValue]:
    """A series that was denoised, as the work on a study records it."""
    return {
        "number": number,
        "what": "CT",
        "status": "done",
        "rule": "abdomen soft kernels",
        "model": "redcnn-compact",
        "slices": 312,
        "seconds": 41.3,
        "noise_before_hu": 24.21,
        "noise_after_hu": 9.87,
        "description": "",
        "thumbnail": number,
        "folder": "somewhere/else",
        "send_to": ["archive"],
        **changed,
    }


@contextmanager
def service_in(folder: Path) -> Iterator[Service]:
    """A service with an empty ledger."""
    with Ledger.open(folder) as ledger:
        yield Service(folder, ledger)


@contextmanager
def served(
    service: Service,
    settings: HttpSettings | None = None,
    known: Callable[[], ServiceFacts] = facts,
    metrics: ServiceMetrics | None = None,
) -> Iterator[Endpoint]:
    """The endpoint of a service, on a free port."""
    with status_endpoint(
        settings or HttpSettings(port=0),
        service.ledger,
        state_folder=service.folder,
        facts=known,
        metrics=metrics or ServiceMetrics("1.2.3"),
    ) as endpoint:
        yield endpoint
