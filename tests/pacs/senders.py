"""Sending a study to the service, by dcmtk and by pynetdicom, and what the service promised."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE, build_context
from pynetdicom.association import Association

from tests.pacs import dcmtk
from tests.pacs.sent_studies import SentStudy


@dataclass(frozen=True, slots=True)
class Told:
    """What a sender was answered.

    Args:
        uid: SOPInstanceUID.
        status: The status of its C-STORE; None where there was no answer.
    """

    uid: str
    status: int | None


def by_dcmtk(
    program: str, paths: Sequence[Path], port: int, *, calling: str = "SCANNER"
) -> subprocess.CompletedProcess[str]:
    """Send files with storescu or dcmsend; its exit code is 0 where all were accepted."""
    options = {"storescu": ["--required"], "dcmsend": ["--no-halt", "--decompress-never"]}[program]
    return subprocess.run(
        [
            dcmtk.program(program),
            *options,
            "-aet",
            calling,
            "-aec",
            "CTDENOISE",
            "127.0.0.1",
            str(port),
        ]
        + [str(path) for path in paths],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def by_pynetdicom(
    paths: Iterable[Path],
    port: int,
    *,
    calling: str = "SCANNER",
    after: Callable[[int, Association], None] | None = None,
) -> list[Told]:
    """Send files over one association, one after the other, for as long as there is one.

    Args:
        paths: Files.
        port: Where the service listens.
        calling: Our AE title.
        after: Called after every answer with its number from 1; may break off the association.

    Returns:
        What came back, until the association ended; nothing where there was none.
    """
    data_sets = [dcmread(path) for path in paths]
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
    entity.connection_timeout = 30
    classes = {data_set.SOPClassUID: data_set.file_meta.TransferSyntaxUID for data_set in data_sets}
    association = entity.associate(
        "127.0.0.1",
        port,
        contexts=[build_context(sop_class, syntax) for sop_class, syntax in classes.items()],
        ae_title="CTDENOISE",
    )
    line = association.dul.socket.socket  # left open by pynetdicom where the peer resets it
    told: list[Told] = []
    for number, data_set in enumerate(data_sets if association.is_established else [], 1):
        answer = association.send_c_store(data_set)
        told.append(Told(str(data_set.SOPInstanceUID), answer.get("Status")))
        if answer.get("Status") is None:
            break
        if after is not None:
            after(number, association)
        if not association.is_established:
            break
    if association.is_established:
        association.release()
    entity.shutdown()
    if line is not None:
        line.close()
    return told


def send_until_accepted(study: SentStudy, port: Callable[[], int], *, rounds: int = 400) -> int:
    """Send a study as a scanner does: again and again what was not accepted, until all of it is.

    Args:
        study: What to send.
        port: Where the service listens now; may wait until it does.
        rounds: How often before giving up.

    Returns:
        How many rounds it took.
    """
    missing = {item.uid: item.path for series in study.series for item in series.instances}
    pause = threading.Event()
    for number in range(1, rounds + 1):
        for told in by_pynetdicom(missing.values(), port()):
            if told.status == 0x0000:
                missing.pop(told.uid, None)
        if not missing:
            return number
        pause.wait(0.2)  # as a scanner waits before it tries again
    raise AssertionError(f"{len(missing)} instances of {study.name} were never accepted")


def send_at_once(jobs: Sequence[Callable[[], object]], *, senders: int) -> None:
    """Do several sendings at the same time; raises what the first of them raised."""
    with ThreadPoolExecutor(senders) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()
