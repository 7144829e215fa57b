"""Spoils files and reads them; whatever is not a volume must be a refusal in words.

By hand, for as long as wanted::

    python -m tests.dicom.fuzz --seconds 600
"""

from __future__ import annotations

import argparse
import logging
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ctdenoise.errors import CTDenoiseError
from ctdenoise.io.decoder_process import end_processes
from ctdenoise.io.image_reader import read_image
from ctdenoise.io.read import open_series
from ctdenoise.io.study import FoundSeries, find_series
from tests.dicom.fuzz_mutations import spoilt
from tests.dicom.fuzz_seeds import SECRETS, dicom_seeds, image_seeds

SECONDS_FOR_ONE = 20
"""An input that takes longer hangs: the usual one takes a few milliseconds."""


class HungError(BaseException):
    """An input took too long; no Exception, so that nothing on the way takes it for damage."""


@dataclass(slots=True)
class Outcome:
    """What became of the inputs.

    Args:
        inputs, read, refused: How many; one that is read is a volume that passed every check.
        crashes: Traceback of everything that was no refusal, by the number of the input.
        hangs: Inputs that took too long.
        quoted: Inputs whose messages named the patient.
        slowest_s: Longest time for one input.
        reasons: How often each reason for a refusal was given, numbers and names left out.
    """

    inputs: int = 0
    read: int = 0
    refused: int = 0
    crashes: dict[int, str] = field(default_factory=dict)
    hangs: list[int] = field(default_factory=list)
    quoted: list[int] = field(default_factory=list)
    slowest_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def bad(self) -> list[int]:
        """Inputs that must not be."""
        return sorted({*self.crashes, *self.hangs, *self.quoted})


class Fuzzer:
    """A sequence of inputs, the same for the same seed.

    Args:
        seed: Decides all of them.
        folder: Where they are written, one after the other.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed = seed
        self._folder = folder
        self._dicom = list(dicom_seeds().values())
        self._images = image_seeds()
        self._all = [data for files in self._dicom for data in files]
        self._logged: list[str] = []
        self.outcome = Outcome()

    def run(self, *, seconds: float, inputs: int = sys.maxsize, first: int = 0) -> Outcome:
        """Spoil and read until the time is over or so many were tried.

        Args:
            seconds: Most time.
            inputs: Most inputs.
            first: Number of the first input.
        """
        until = time.monotonic() + seconds
        handler = _Collector(self._logged)
        logging.getLogger("ctdenoise").addHandler(handler)
        before = signal.signal(signal.SIGALRM, _hung)
        try:
            for number in range(first, first + inputs):
                if time.monotonic() > until:
                    break
                self._try(number)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            logging.getLogger("ctdenoise").removeHandler(handler)
        return self.outcome

    def read_folder(self) -> Outcome:
        """Read what lies in the folder, as input 0."""
        self._account(0, lambda: list(_read_all(self._folder)))
        return self.outcome

    def _try(self, number: int) -> None:
        self._account(number, self._written(number))

    def _account(self, number: int, read: Callable[[], list[str]]) -> None:
        self._logged.clear()
        said: list[str] = []
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, SECONDS_FOR_ONE)
        try:
            said += read()
        except HungError:
            self.outcome.hangs.append(number)
        except Exception:  # noqa: BLE001 - what is looked for
            self.outcome.crashes[number] = traceback.format_exc()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.outcome.slowest_s = max(self.outcome.slowest_s, time.monotonic() - began)
        self.outcome.inputs += 1
        self.outcome.refused += bool(said)
        self.outcome.read += not said
        self.outcome.reasons.update({_reason(line) for line in said})
        if any(secret in text for text in (*said, *self._logged) for secret in SECRETS):
            self.outcome.quoted.append(number)

    def _written(self, number: int) -> Callable[[], list[str]]:
        """Write an input; returns what reads it and gives every reason why it is refused."""
        random = Random(f"{self._seed} {number}")
        for path in self._folder.iterdir():
            path.unlink()
        if number % 8 == 7:
            name, data = random.choice(sorted(self._images.items()))
            path = self._folder / name
            path.write_bytes(spoilt(data, self._all, random))
            return lambda: [*_read_image(path), *_read_all(self._folder)]
        files = random.choice(self._dicom)
        kept = files if random.random() < 0.5 else files[:1]
        for index, data in enumerate(kept):
            changed = spoilt(data, self._all, random) if index == 0 else data
            (self._folder / f"{index}.dcm").write_bytes(changed)
        return lambda: list(_read_all(self._folder))


class _Collector(logging.Handler):
    def __init__(self, texts: list[str]) -> None:
        super().__init__()
        self._texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())


def _hung(number: int, frame: object) -> None:
    raise HungError


def _read_all(folder: Path) -> Iterator[str]:
    """Read whatever is found; gives every reason why something is not."""
    try:
        found = find_series(folder)
    except CTDenoiseError as error:
        yield str(error)
        return
    for series in found:
        yield from series.problems or _read(series)
        yield from (str(note) for note in series.notes if _names_someone(str(note)))


def _read(series: FoundSeries) -> Iterator[str]:
    try:
        with open_series(series) as reader:
            volume = reader.read(slice(None))
    except CTDenoiseError as error:
        yield str(error)
        return
    if volume.shape != (series.slices, *reader.shape[1:]):
        raise AssertionError("a volume of another shape than was found")


def _read_image(path: Path) -> Iterator[str]:
    try:
        read_image(path)
    except CTDenoiseError as error:
        yield str(error)


def _names_someone(text: str) -> bool:
    return any(secret in text for secret in SECRETS)


def _reason(text: str) -> str:
    """A refusal without numbers, paths and quoted names."""
    text = re.sub(r"\(\d+ of \d+.*?\)|\(all \d+.*?\)|'[^']*'|\S*/\S*", "", text)
    return re.sub(r"[-\d.]*\d[\d.e+-]*", "#", text)[:160].replace("\n", " ")


def peak_mebibytes() -> tuple[float, float]:
    """Most memory of this process, and of the largest process that it started and that ended."""
    own, children = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return (own, children)


def main(arguments: Sequence[str]) -> int:
    """Run by hand; prints what became of the inputs."""
    parser = argparse.ArgumentParser(prog="python -m tests.dicom.fuzz")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--inputs", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    chosen = parser.parse_args(arguments)
    before = peak_mebibytes()[0]
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(chosen.seed, Path(folder))
        outcome = fuzzer.run(seconds=chosen.seconds, inputs=chosen.inputs, first=chosen.first)
    end_processes()
    own, decoder = peak_mebibytes()
    lines = [
        f"inputs            {outcome.inputs} (seed {chosen.seed})",
        f"read              {outcome.read}",
        f"refused in words  {outcome.refused}, {len(outcome.reasons)} reasons",
        f"crashes           {len(outcome.crashes)}",
        f"hangs             {len(outcome.hangs)}",
        f"patient quoted    {len(outcome.quoted)}",
        f"slowest input     {outcome.slowest_s:.2f} s",
        f"peak memory       {own:.0f} MiB ({before:.0f} before), decoder {decoder:.0f} MiB",
        *(f"{count:8d}  {reason}" for reason, count in outcome.reasons.most_common(60)),
        *(f"input {number}:\n{text}" for number, text in list(outcome.crashes.items())[:10]),
        *(f"input {number} hangs" for number in outcome.hangs),
        *(f"input {number} names the patient" for number in outcome.quoted),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if outcome.bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
