"""A decoder that crashes, hangs or takes too much costs one frame, never the run."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from ctdenoise.core.arrays import StoredArray
from ctdenoise.errors import StudyError
from ctdenoise.io import decoder_process
from ctdenoise.io.decoder_process import DecoderProcess, decoded
from ctdenoise.io.dicom_codestream import EncodedFrame, encoded_frames
from ctdenoise.io.dicom_file import DamagedFileError, read_instance
from ctdenoise.io.read import open_series, read_volume
from tests.conftest import ROOT
from tests.dicom.builders import ct_series, marked_volume, series_files

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")

SYNTAXES = [JPEG2000Lossless, JPEGLSLossless, RLELossless]


@pytest.fixture(autouse=True)
def _own_processes() -> Iterator[None]:
    """Processes started before or in a test, perhaps with another program, serve no other one."""
    decoder_process.end_processes()
    yield
    decoder_process.end_processes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    series_files(tmp_path, ct_series(marked_volume(slices=4)), syntax=JPEG2000Lossless)
    return tmp_path


def frames_of(folder: Path) -> list[EncodedFrame]:
    datasets = [read_instance(path, most_pixel_bytes=4000) for path in sorted(folder.iterdir())]
    return [frame for dataset in datasets for frame in encoded_frames(dataset, [0])]


def a_decoder_that(
    does: str, monkeypatch: pytest.MonkeyPatch, folder: Path, *, when: str = "is_bad"
) -> None:
    """From now on the second and the last frame make the decoder do something else."""
    bad = [hashlib.sha256(frame.data).hexdigest() for frame in frames_of(folder)[1::2]]
    program = textwrap.dedent("""
        import hashlib, sys
        sys.path[:] = {path!r}
        from ctdenoise.io import dicom_decoding
        right = dicom_decoding._pixels
        count = [0]
        def pixels(description, data):
            count[0] += 1
            is_late = count[0] > 1
            is_bad = hashlib.sha256(data).hexdigest() in BAD_FRAMES
            if WHEN:
                DOES
            return right(description, data)
        dicom_decoding._pixels = pixels
        dicom_decoding.serve({seconds})
    """)
    for name, text in (("BAD_FRAMES", repr(bad)), ("WHEN", when), ("DOES", does)):
        program = program.replace(name, text)
    decoder_process.end_processes()
    monkeypatch.setattr(decoder_process, "_PROGRAM", program)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_frames_come_back_bit_for_bit_and_in_order(tmp_path: Path, syntax: str) -> None:
    volume = marked_volume(slices=40)
    series_files(tmp_path, ct_series(volume), syntax=syntax)
    np.testing.assert_array_equal(read_volume(tmp_path).hu, volume.hu)


def test_what_needs_no_decoding_keeps_its_place(folder: Path) -> None:
    frames = frames_of(folder)
    array: StoredArray = np.zeros((2, 2), np.uint16)
    error = DamagedFileError("it is spoilt")
    items = [array, frames[0], error, *([array] * 20), frames[1], array, frames[2]]
    outcomes = list(decoded(items))
    assert [type(o) for o in outcomes] == [
        DamagedFileError if item is error else np.ndarray for item in items
    ]
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(item, EncodedFrame):
            assert outcome.shape == (item.rows, item.columns)
        else:
            assert outcome is item


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "made the decoder crash"),
        ("import os; os.abort()", "made the decoder crash"),
        ("raise SystemExit", "cannot be decoded"),
        ("raise type('Panic', (BaseException,), dict())", "cannot be decoded"),
        ("bytearray(8 << 30)", "need more memory"),
        ("print('x' * 5000); os_write = __import__('os').write(1, b'y' * 99)", None),
    ],
)
def test_only_the_frames_that_hurt_a_decoder_are_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch, does: str, reason: str | None
) -> None:
    a_decoder_that(does, monkeypatch, folder)
    outcomes = list(decoded(frames_of(folder)))
    lost = [o for o in outcomes if isinstance(o, DamagedFileError)]
    assert len(outcomes) == 4
    assert len(lost) == (0 if reason is None else 2)
    assert all(reason in str(error) for error in lost)


@pytest.mark.parametrize("does", ["while True: pass", "import time; time.sleep(60)"])
def test_a_decoder_that_hangs_is_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.setattr(decoder_process, "SECONDS_MOST", 1)
    a_decoder_that(does, monkeypatch, folder)
    began = time.monotonic()
    with pytest.raises(StudyError, match="not decoded within 1 seconds"):
        read_volume(folder)
    assert time.monotonic() - began < 30


def test_a_series_is_refused_by_the_names_of_what_crashed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_decoder_that("import os; os.abort()", monkeypatch, folder)
    with pytest.raises(StudyError, match=r"decoder crash \(2 of 4: 0002.dcm, 0004.dcm\)"):
        read_volume(folder)


@pytest.mark.parametrize("does", ["import os; os.abort()", "return None", "bytearray(8 << 30)"])
def test_what_a_process_decoded_before_refuses_no_frame(
    folder: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    """A decoder that leaks, or that somebody ends, fails from its second frame on."""
    a_decoder_that(does, monkeypatch, folder, when="is_late")
    assert read_volume(folder).shape[0] == 4


def test_processes_stay_for_the_next_series_and_end_with_us(folder: Path) -> None:
    read_volume(folder)
    first = children_of(os.getpid())
    read_volume(folder)
    assert len(first) == 1
    assert children_of(os.getpid()) == first
    decoder_process.end_processes()
    assert children_of(os.getpid()) == []


def test_a_process_that_died_in_between_is_replaced(folder: Path) -> None:
    read_volume(folder)
    (process,) = children_of(os.getpid())
    os.kill(process, signal.SIGKILL)
    assert read_volume(folder).shape[0] == 4


def test_a_reader_that_stops_half_way_leaves_nothing_wrong_behind(folder: Path) -> None:
    frames = frames_of(folder)
    outcomes = decoded(frames)
    first = next(outcomes)
    outcomes.close()
    again = list(decoded(frames))
    np.testing.assert_array_equal(again[0], first)
    assert len(again) == 4


def test_a_copy_of_this_process_starts_its_own(folder: Path) -> None:
    expected = read_volume(folder).hu.sum()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_read_and_send, args=(folder, theirs))
    process.start()
    assert ours.recv() == expected
    process.join()
    assert read_volume(folder).hu.sum() == expected


def _read_and_send(folder: Path, connection: multiprocessing.connection.Connection) -> None:
    connection.send(read_volume(folder).hu.sum())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_one_that_is_stopped(
    folder: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program = (
        "import sys; from ctdenoise.io.read import read_volume\n"
        "read_volume(sys.argv[1]); print('read', flush=True)\n"
        "while True: read_volume(sys.argv[1])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"read\n"
        children = children_of(reader.pid)
        assert children
        reader.send_signal(number)
        reader.wait(timeout=30)
    assert ends(lambda: not any(is_running(child) for child in children))


def test_a_script_without_a_main_guard_can_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = tmp_path_factory.mktemp("script") / "numpy_free.py"
    script.write_text(
        "import sys\nfrom ctdenoise.io.read import read_volume\n"
        "print(read_volume(sys.argv[1]).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, script, folder], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("(4, 40, 36)\n", "")


def test_blocks_of_a_series_agree_with_the_whole(folder: Path) -> None:
    whole = read_volume(folder)
    with open_series(folder) as reader:
        for index in (3, 0, 2):
            np.testing.assert_array_equal(reader.read([index]).hu[0], whole.hu[index])


def test_a_process_that_cannot_start_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_process, "_PROGRAM", "raise SystemExit(3)")
    process = DecoderProcess()
    process.send(frames_of(folder)[0])
    with pytest.raises(Exception, match="cannot be started"):
        process.receive()


def children_of(process: int) -> list[int]:
    """Decoder processes that a process started and that still run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        parent, state = int(lines["PPid"]), lines["State"].strip()[0]
        if parent == process and state != "Z" and b"dicom_decoding" in command:
            found.append(int(status.parent.name))
    return sorted(found)


def is_running(process: int) -> bool:
    try:
        status = (Path("/proc") / str(process) / "status").read_text()
    except OSError:
        return False
    return "State:\tZ" not in status


def ends(condition: Callable[[], bool], *, seconds: float = 20.0) -> bool:
    """Whether something becomes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
