"""Reading odd CT studies, and reading a plain one fast: ctdenoise against seven other readers.

Run it by ``make bench-dicom``, which also makes an environment of its own for the readers that are
not among our requirements. It prints the tables of `docs/validation/dicom_reading.md` as Markdown.
A reader that is not installed is named and left out. Nothing is asserted: `tests/dicom/test_zoo.py`
holds our own column.

    python tests/perf/bench_dicom.py [zoo] [loading]
"""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from tests.dicom.builders import as_bytes, ct_series, uid
from tests.dicom.zoo_cases import CASES
from tests.perf.dicom_peers import READERS

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".bench" / "dicom-peers" / "bin" / "python"
"""Environment with the other readers; the current one is taken where it was not made."""

DETAILS = ROOT / ".bench" / "dicom-reading.json"
"""What each reader said about each study."""

ZOO_SIZE = 128
LOADED_SLICES, LOADED_SIZE = 300, 512
TIMED = (
    "raw pydicom loop",
    "ctdenoise, one series",
    *(name for name in READERS if name != "ctdenoise"),
)
WORKER_SECONDS = 1800

VERSIONS = ("pydicom", "SimpleITK", "monai", "itk-io", "highdicom", "dicom2nifti", "python-gdcm")

RIGHT, REFUSED = "right", "refused"
WARNED, SILENT = "wrong, with a warning", "silently wrong"

Answer = dict[str, object]


def worker(*arguments: str) -> list[Answer]:
    """What a reader's own process printed, one answer a line."""
    python = str(PEERS) if PEERS.exists() else sys.executable
    command = [python, "-m", "tests.perf.dicom_worker", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WORKER_SECONDS
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"{' '.join(arguments[:2])} gave nothing:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in lines]


def verdict(answer: Answer) -> str:
    """One of the four outcomes."""
    if "error" in answer:
        return REFUSED
    if answer["right"] == answer["total"]:
        return RIGHT
    return WARNED if answer["warned"] else SILENT


def in_a_word(answer: Answer) -> str:
    """A field of the table."""
    outcome = verdict(answer)
    if outcome == REFUSED:
        return "refused"
    if outcome == RIGHT:
        return "right"
    share = f"{answer['right']}/{answer['total']}"
    return f"{share} warned" if outcome == WARNED else f"**{share} silent**"


def bench_zoo() -> None:
    """Every case by every reader."""
    with tempfile.TemporaryDirectory() as temporary:
        studies = []
        for case in CASES:
            folder = Path(temporary) / case.name
            folder.mkdir()
            studies.append((folder, case.make(folder, ZOO_SIZE)))
        listing = Path(temporary) / "studies.pickle"
        listing.write_bytes(pickle.dumps(studies))
        answers: dict[str, list[Answer]] = {}
        for name in READERS:
            given = worker("judge", name, str(listing))
            if "absent" in given[0]:
                print(f"{name} is left out: {given[0]['absent']}\n")
                continue
            answers[name] = _without_usual_warnings(given)
            print(f"{name} done", file=sys.stderr, flush=True)
    DETAILS.parent.mkdir(exist_ok=True)
    details = {n: dict(zip((c.name for c in CASES), a, strict=True)) for n, a in answers.items()}
    DETAILS.write_text(json.dumps(details, indent=1))
    _print_zoo(answers)


def _without_usual_warnings(given: list[Answer]) -> list[Answer]:
    """Answers without what the reader also says about the plain study, which warns of nothing."""
    usual = {_shape(line) for line in str(given[0]["warned"]).splitlines()}
    for answer in given:
        lines = str(answer.get("warned", "")).splitlines()
        answer["warned"] = "\n".join(line for line in lines if line and _shape(line) not in usual)
    return given


def _shape(line: str) -> str:
    """A line without its numbers."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", line).strip()


def _print_zoo(answers: dict[str, list[Answer]]) -> None:
    totals = {name: Counter(map(verdict, given)) for name, given in answers.items()}
    print(f"| of {len(CASES)} studies | {RIGHT} | {REFUSED} | {WARNED} | {SILENT} |")
    print("|---|---|---|---|---|")
    for name, count in totals.items():
        print(
            f"| {name} | "
            + " | ".join(str(count[k]) for k in (RIGHT, REFUSED, WARNED, SILENT))
            + " |"
        )
    print("\n| study | " + " | ".join(answers) + " |")
    print("|---" * (len(answers) + 1) + "|")
    for row, case in enumerate(CASES):
        fields = [in_a_word(given[row]) for given in answers.values()]
        print(f"| `{case.name}` | " + " | ".join(fields) + " |")
    print()


def write_plain_series(folder: Path) -> None:
    """A body in air with the noise of a scan, which does not compress: 16 bits, uncompressed."""
    rng = np.random.default_rng(0)
    shape = (1, LOADED_SIZE, LOADED_SIZE)
    geometry = Geometry.axial(shape, pixel_spacing_mm=0.7, slice_spacing_mm=1.0)
    (template,) = ct_series(
        CTVolume(np.zeros(geometry.shape, np.float32), geometry), intercept=-1024.0
    )
    y, x = np.ogrid[-1 : 1 : 1j * LOADED_SIZE, -1 : 1 : 1j * LOADED_SIZE]
    body = np.where((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, 1064.0, 24.0)
    folder.mkdir()
    for index in range(LOADED_SLICES):
        stored = np.rint(body + rng.normal(0.0, 15.0, body.shape)).clip(0, 4095)
        template.PixelData = stored.astype("<u2").tobytes()
        template.SOPInstanceUID = uid("loaded", index)
        template.InstanceNumber = str(index + 1)
        template.ImagePositionPatient[2] = index * 1.0
        (folder / f"{index:04d}.dcm").write_bytes(as_bytes(template))


def bench_loading() -> None:
    """Time and memory of one plain series."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "series"
        write_plain_series(folder)
        volume_mb = LOADED_SLICES * LOADED_SIZE**2 * 4 / 2**20
        size = f"{LOADED_SLICES} x {LOADED_SIZE} x {LOADED_SIZE} x 16 bit"
        print(f"{size}; one float32 volume is {volume_mb:.0f} MB; memory is above imports\n")
        columns = ("processor, s", "times the raw loop", "clock, s", "memory, MB", "volumes")
        print("| reader | " + " | ".join(columns) + " |")
        print("|---|---|---|---|---|---|")
        raw = 0.0
        for name in TIMED:
            (answer,) = worker("load", name, str(folder))
            if "absent" in answer:
                print(f"| {name} | left out: {answer['absent']} | | | | |")
                continue
            processor, clock = float(str(answer["processor"])), float(str(answer["seconds"]))
            raw = raw or processor
            taken = float(str(answer["peak_mb"])) - float(str(answer["before_mb"]))
            fields = (f"{processor:.2f}", f"{processor / raw:.2f}", f"{clock:.2f}", f"{taken:.0f}")
            print(f"| {name} | " + " | ".join(fields) + f" | {taken / volume_mb:.2f} |", flush=True)
    print()


def print_versions() -> None:
    """What was compared, as installed."""
    python = str(PEERS) if PEERS.exists() else sys.executable
    code = (
        "import importlib.metadata as m\n"
        f"for n in {VERSIONS!r}:\n"
        "    try: print(n, m.version(n))\n"
        "    except m.PackageNotFoundError: print(n, 'absent')"
    )
    listed = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    print(
        f"ctdenoise {importlib.metadata.version('ctdenoise')}, Python {platform.python_version()}"
    )
    print(listed.stdout.replace("\n", ", ").strip(", "))
    shown = subprocess.run(["dcm2niix", "-v"], capture_output=True, text=True, check=False)
    print((shown.stdout or shown.stderr).strip().splitlines()[-1] + "\n")


def main() -> None:
    """Measure and print."""
    wanted = sys.argv[1:] or ["zoo", "loading"]
    print_versions()
    if "zoo" in wanted:
        bench_zoo()
    if "loading" in wanted:
        bench_loading()


if __name__ == "__main__":
    main()
