"""One reader of the comparison in a process of its own; started by `bench_dicom`.

`judge READER FILE` reads every study that the file lists, each in a forked process with a time
limit, and prints one line of JSON for each. `load READER FOLDER` reads one series and prints how
long it took and how much memory. What a reader writes to stderr, from Python or C++, is a warning.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from tests.dicom.zoo import TrueSlice, right_slices
from tests.perf.dicom_peers import READERS, Reader
from tests.perf.dicom_raw import RAW_READERS

LIMIT_SECONDS = 120.0
REPEATS = 5


def main() -> None:
    """Do what the command line says."""
    task, name, where = sys.argv[1:]
    try:
        reader = ({**READERS, **RAW_READERS})[name]()
    except ImportError as error:
        print(json.dumps({"absent": str(error)}))
        return
    if task == "judge":
        for folder, truth in pickle.loads(Path(where).read_bytes()):  # noqa: S301 - our own
            print(json.dumps(_forked(reader, folder, truth)), flush=True)
    else:
        print(json.dumps(_timed(reader, Path(where))))


def _forked(reader: Reader, folder: Path, truth: Sequence[TrueSlice]) -> dict[str, object]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_judge, args=(reader, folder, truth, sender))
    child.start()
    sender.close()
    try:
        if not receiver.poll(LIMIT_SECONDS):
            return {"error": f"no answer in {LIMIT_SECONDS:.0f} s"}
        answer = receiver.recv()
    except EOFError:
        answer = {"error": "the process died"}
    finally:
        child.kill()
        child.join()
    return answer


def _judge(reader: Reader, folder: Path, truth: Sequence[TrueSlice], sender: Connection) -> None:
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        warnings.simplefilter("always")
        answer: dict[str, object] = {"total": len(truth)}
        try:
            grids = reader(folder)
            answer["right"] = right_slices(truth, grids)
            if not grids:
                answer["error"] = "it gave nothing"
        except Exception as error:  # noqa: BLE001 - whatever the reader raises
            answer["error"] = f"{type(error).__name__}: {error}"[:300]
        sys.stderr.flush()
        log.seek(0)
        answer["warned"] = log.read(2000).decode(errors="replace").strip()
    sender.send(answer)


def _timed(reader: Reader, folder: Path) -> dict[str, object]:
    """Seconds of the best of some, on the clock and of processors, and memory above imports."""
    before = _peak_mb()
    seconds, processor = [], []
    for _ in range(REPEATS):
        start, start_processor = time.perf_counter(), _processor_seconds()
        grids = reader(folder)
        processor.append(_processor_seconds() - start_processor)
        seconds.append(time.perf_counter() - start)
        voxels = sum(grid.hu.size for grid in grids)
        del grids
    return {
        "seconds": min(seconds),
        "processor": min(processor),
        "before_mb": before,
        "peak_mb": _peak_mb(),
        "voxels": voxels,
    }


def _processor_seconds() -> float:
    """Of this process and of those that it waited for."""
    both = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def _peak_mb() -> float:
    both = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return max(both) / 1024


if __name__ == "__main__":
    main()
