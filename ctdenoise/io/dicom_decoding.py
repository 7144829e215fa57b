"""What a decoder process does: turn codestreams that it is sent into pixels, within bounds.

Started by `decoder_process` as a program of its own; see `decoder_protocol`.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from ctdenoise.core.arrays import StoredArray
from ctdenoise.io.decoder_protocol import (
    ANSWER,
    DECODED,
    FAILED,
    KINDS,
    NO_DECODER,
    NO_MEMORY,
    READY,
    REQUEST,
)

if sys.platform != "win32":
    import resource

_FREE_BYTES = 256 * 2**20
_BYTES_PER_PIXEL = 64
"""What decoders were seen to need beside what the process has, and several times that."""


def serve(seconds: int) -> None:
    """Answer requests until nobody can send any.

    Args:
        seconds: Most time for one frame; the process ends itself after that.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and closes the pipe
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library that prints must not answer
    limits = _Limits(seconds)
    answers.write(ANSWER.pack(READY, 0, 0, 0))
    answers.flush()
    while head := sys.stdin.buffer.read(REQUEST.size):
        lengths = REQUEST.unpack(head)
        description = json.loads(sys.stdin.buffer.read(lengths[0]))
        data = sys.stdin.buffer.read(lengths[1])
        limits.start(int(description["rows"]) * int(description["columns"]))
        _answer(answers, description, data)
        limits.stop()


class _Limits:
    """Time and memory of one frame, enforced by the operating system where it can."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._silent = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process
        if sys.platform != "win32":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no patient's pixels on the disk

    def start(self, pixels: int) -> None:
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._silent)
        if sys.platform != "win32":
            used = resource.getrusage(resource.RUSAGE_SELF)
            seconds = int(used.ru_utime + used.ru_stime) + self._seconds + 1
            _set_soft_limit(resource.RLIMIT_CPU, seconds)
            memory = _memory_bytes()
            if memory:
                most = memory + _FREE_BYTES + _BYTES_PER_PIXEL * pixels
                _set_soft_limit(resource.RLIMIT_AS, most)

    def stop(self) -> None:
        faulthandler.cancel_dump_traceback_later()


def _set_soft_limit(which: int, value: int) -> None:
    if sys.platform != "win32":
        hard = resource.getrlimit(which)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (soft, hard))


def _memory_bytes() -> int:
    """Address space in use; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _answer(answers: BinaryIO, description: dict[str, Any], data: bytes) -> None:
    try:
        array = _pixels(description, data)
    except MemoryError:
        status, array = NO_MEMORY, None
    except LookupError:
        status, array = NO_DECODER, None
    except BaseException:  # noqa: BLE001 - a panic in a Rust decoder is no Exception
        status, array = FAILED, None
    if array is None:
        answers.write(ANSWER.pack(status, 0, 0, 0))
    else:
        kind = KINDS.index(array.dtype.str)
        answers.write(ANSWER.pack(DECODED, kind, *array.shape))
        answers.write(array.data)
    answers.flush()


def _pixels(description: dict[str, Any], data: bytes) -> StoredArray | None:
    """A decoded frame; None where it is no picture of whole numbers."""
    decoder = get_decoder(description["syntax"])
    names = [name for name in description["plugins"] if name in decoder.available_plugins]
    if not names:
        raise LookupError
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = description["syntax"]
    dataset.Rows, dataset.Columns = description["rows"], description["columns"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = description["bits_allocated"]
    dataset.BitsStored = description["bits_stored"]
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = description["pixel_representation"]
    dataset.PixelData = encapsulate([data])
    dataset["PixelData"].is_undefined_length = True
    array, _ = decoder.as_array(dataset, index=0, raw=True, decoding_plugin=names[0])
    array = np.ascontiguousarray(array)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return array if array.ndim == 2 and array.dtype.str in KINDS else None
