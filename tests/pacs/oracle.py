"""Whether anything was lost, came twice or lies there half, judged from outside.

What counts is what the senders were promised, what the destination got, and what lies in the state
folder; the service itself is asked nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.pacs.destination import ACCEPTED
from tests.pacs.recording import Delivery
from tests.pacs.sent_studies import SentSeries, SentStudy, pixels_digest

_PARTIAL = (".part", ".tmp", "partial", "unfinished")


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a destination has.

    Args:
        problems: What is wrong with it, in words; empty where nothing is.
        instances: How many derived instances there are.
        twice: Deliveries of an instance that had been accepted before.
    """

    problems: tuple[str, ...]
    instances: int
    twice: int


@dataclass
class _Derived:
    """Instances of a destination by the instance they were derived from."""

    by_source: dict[str, list[tuple[Path, Dataset]]] = field(
        default_factory=lambda: defaultdict(list)
    )


def examine_destination(
    kept: Mapping[str, Path],
    deliveries: Sequence[Delivery],
    *,
    processed: Iterable[SentStudy],
    refused: Iterable[SentStudy] = (),
    given_up: Iterable[SentStudy] = (),
    same_pixels: bool = True,
) -> Arrived:
    """Compare what a destination has with what it must have.

    Args:
        kept: Files that it accepted, by SOPInstanceUID.
        deliveries: Everything that came over the wire.
        processed: Studies of which all wanted series must be there, whole.
        refused: Studies of which nothing may be there.
        given_up: Studies that may be there in part.
        same_pixels: Whether the pixels must be those of the sources (denoiser `identity`).
    """
    problems, derived = [], _Derived()
    for uid, path in kept.items():
        data_set, problem = read_in_full(path)
        if data_set is None:
            problems.append(problem)
        elif data_set.SOPInstanceUID != uid:
            problems.append(f"{path.name} holds another instance")
        else:
            derived.by_source[_source_of(data_set)].append((path, data_set))
    expected = set()
    for study in processed:
        for series in study.of("wanted"):
            expected |= {instance.uid for instance in series.instances}
            problems += _lacking(study, series, derived, same_pixels=same_pixels)
    for study in given_up:
        expected |= {i.uid for series in study.of("wanted") for i in series.instances}
    refused_uids = {i.uid for study in refused for series in study.series for i in series.instances}
    for source, files in derived.by_source.items():
        if source in refused_uids:
            problems.append(f"{files[0][0].name} was made of a study that was refused")
        elif source not in expected:
            problems.append(f"{files[0][0].name} was made of nothing that was to be processed")
    problems += differing(deliveries)
    return Arrived(tuple(problems), len(kept), repeated(deliveries))


def _lacking(
    study: SentStudy, series: SentSeries, derived: _Derived, *, same_pixels: bool
) -> Iterable[str]:
    """What one derived series lacks or has too much."""
    name, series_uids = f"{study.name} series {series.uid[-6:]}", set()
    for number, instance in enumerate(series.instances, 1):
        found = derived.by_source.get(instance.uid, [])
        if len(found) != 1:
            yield f"{name}: {len(found)} instances were derived from slice {number}"
        for _, data_set in found:
            series_uids.add(data_set.SeriesInstanceUID)
            if data_set.StudyInstanceUID != study.uid:
                yield f"{name}: slice {number} came into another study"
            if same_pixels and pixels_digest(data_set) != instance.pixels_sha256:
                yield f"{name}: slice {number} has other pixels"
    if len(series_uids) > 1 or series.uid in series_uids:
        yield f"{name}: {len(series_uids)} derived series, or that of the source"


def _source_of(data_set: Dataset) -> str:
    items = data_set.get("SourceImageSequence") or [Dataset()]
    return str(items[0].get("ReferencedSOPInstanceUID", ""))


def read_in_full(path: Path) -> tuple[Dataset | None, str]:
    """A DICOM file with all of its pixels, or None and why it is none."""
    try:
        data_set = dcmread(path)
        pixels = len(data_set.get("PixelData", b""))
        needed = data_set.Rows * data_set.Columns * data_set.BitsAllocated // 8
    except Exception as error:  # noqa: BLE001 - whatever makes it unreadable
        return None, f"{path.name} cannot be read: {type(error).__name__}"
    if pixels < needed:
        return None, f"{path.name} has {pixels} of {needed} bytes of pixels"
    return data_set, ""


def repeated(deliveries: Iterable[Delivery]) -> int:
    """How many deliveries brought what had been accepted before."""
    counts = Counter(item.uid for item in deliveries if item.status in ACCEPTED)
    return sum(count - 1 for count in counts.values())


def differing(deliveries: Iterable[Delivery]) -> list[str]:
    """Instances that came twice, with other bytes."""
    digests: dict[str, set[str]] = defaultdict(set)
    for item in deliveries:
        digests[item.uid].add(item.sha256)
    return [
        f"{uid} came with {len(found)} different contents"
        for uid, found in digests.items()
        if len(found) > 1
    ]


def examine_files(state: Path) -> list[str]:
    """What lies half-written in a state folder whose service has recovered."""
    problems = []
    for path in sorted(state.rglob("*")):
        if any(mark in path.name for mark in _PARTIAL):
            problems.append(f"{path.relative_to(state)} was left behind")
        elif path.suffix == ".dcm":
            found, problem = read_in_full(path)
            if found is None:
                problems.append(f"in {path.parent.relative_to(state)}: {problem}")
    return problems


def examine_inbox(inbox: Path, accepted: Iterable[SentStudy]) -> list[str]:
    """Instances that were accepted, and are not in the inbox as they were sent."""
    found = defaultdict(set)
    for path in inbox.rglob("*.dcm"):
        data_set, _ = read_in_full(path)
        if data_set is not None:
            found[str(data_set.SOPInstanceUID)].add(pixels_digest(data_set))
    return [
        f"{study.name}: an accepted instance is not in the inbox"
        for study in accepted
        for series in study.series
        for instance in series.instances
        if instance.pixels_sha256 not in found[instance.uid]
    ]
