"""Getting a study, a series or an instance from a peer into a folder: whole, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.peer_address import shown
from ctdenoise.config.peers import DimsePeer, Peer, RetrySettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.errors import PeerRefused, PeerUnavailable, UsageError
from ctdenoise.io.dicom_file import DamagedFileError, read_header
from ctdenoise.io.staging import require_free_folder, stage_of_killed_run, staged_folder
from ctdenoise.pacs.client import MATCHES_MOST, find
from ctdenoise.pacs.getting import get
from ctdenoise.pacs.inbox import instance_key
from ctdenoise.pacs.matches import Match, Wanted
from ctdenoise.pacs.retry import BackOff, Clock, SystemClock
from ctdenoise.pacs.web_getting import get_by_web


@dataclass(frozen=True, slots=True)
class GetReport:
    """What was got.

    Args:
        out: The folder: one file for each instance, its name a digest of the UID.
        instances: How many.
        kept: How many of them an earlier run, which was killed, had got.
        bytes_got: Size of the files.
        seconds: Time of everything, waits included.
        failures: Times that something was transient and tried again.
    """

    out: Path
    instances: int
    kept: int
    bytes_got: int
    seconds: float
    failures: int


def retrieve(
    peer: Peer,
    wanted: Wanted,
    out: Path,
    *,
    retry: RetrySettings | None = None,
    clock: Clock | None = None,
    progress: Progress = SILENT,
) -> GetReport:
    """Get everything that fits, and check that it is as many instances as the peer says it has.

    After a lost connection only what is missing is asked for again. The folder appears when
    everything is there. What a killed run had got is gone on with.

    Args:
        peer: From whom.
        wanted: UID of a study, with more to narrow it down.
        out: Folder to make; new or empty.
        retry: What is tried again; by default as `RetrySettings` says.
        clock: Where time comes from.
        progress: Told about every instance.

    Raises:
        UsageError: If no study is named.
        OutputExistsError: If `out` is taken.
        PeerUnavailable: If the peer is lost or busy to the last try.
        PeerRefused: If it does not do it, or has nothing that fits.
        OutputError: If the disk is full.
    """
    if not wanted.study_instance_uid:
        raise UsageError("no study is named.", fix="Give its UID, as `pacs find` shows it.")
    require_free_folder(out)
    clock = clock or SystemClock()
    back_off = BackOff(retry or RetrySettings(), clock)
    started = time.perf_counter()
    matches = {match.uid("image"): match for match in _listed(peer, wanted, back_off)}
    with staged_folder(out, adopted=stage_of_killed_run(out)) as folder:
        kept = _tidied(folder, matches)
        missing = {uid: match for uid, match in matches.items() if uid not in kept}
        with progress.stage("Receiving", len(matches), done=len(kept)) as advance:
            while missing:
                before = len(missing)
                try:
                    for uid in _once(peer, list(missing.values()), folder, len(matches)):
                        del missing[uid]
                        advance()
                    _require_all(missing, peer)
                except PeerUnavailable as error:
                    if len(missing) < before:
                        back_off.progressed()
                    back_off.wait(error)
        size = sum(path.stat().st_size for path in folder.iterdir())
    seconds = time.perf_counter() - started
    return GetReport(out, len(matches), len(kept), size, seconds, back_off.tries)


def _listed(peer: Peer, wanted: Wanted, back_off: BackOff) -> tuple[Match, ...]:
    matches = back_off.until_it_works(lambda: find(peer, "image", wanted, most=MATCHES_MOST))
    if not matches:
        raise PeerRefused("it has nothing that fits.", where=shown(peer))
    return matches


def _once(peer: Peer, missing: Sequence[Match], folder: Path, all_count: int) -> Iterator[str]:
    if isinstance(peer, DimsePeer):
        return get(missing, peer, folder)
    return get_by_web(missing, peer, folder, known=all_count - len(missing))


def _require_all(missing: dict[str, Match], peer: Peer) -> None:
    if missing:
        raise PeerUnavailable(
            f"{len(missing)} of the instances that it lists did not come.",
            where=shown(peer),
            fix="Its log says why; some may be of a kind or an encoding that it cannot send.",
        )


def _tidied(folder: Path, matches: dict[str, Match]) -> set[str]:
    """UIDs whose files a killed run left whole; everything else in the folder is removed."""
    names = {f"{instance_key(uid)}.dcm": uid for uid in matches}
    kept = set()
    for path in folder.iterdir():
        if path.name in names and _is_whole(path):
            kept.add(names[path.name])
        else:
            path.unlink()
    return kept


def _is_whole(path: Path) -> bool:
    """Whether a file that was put in place survived what ended its run."""
    try:
        return path.is_file() and not read_header(path).truncated
    except (DamagedFileError, OSError):
        return False
