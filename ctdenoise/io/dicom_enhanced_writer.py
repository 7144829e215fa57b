"""A derived series of multi-frame objects: one for each object of its source, frame by frame."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.scan import Scan
from ctdenoise.core.source import SourceInstance
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_derivation import derivation_of, run_moment
from ctdenoise.io.dicom_derived import LossyStorage, NewSeries, text_of
from ctdenoise.io.dicom_enhanced_checks import frames_by_file, object_bytes, object_header
from ctdenoise.io.dicom_enhanced_file import FrameFile, storage_for
from ctdenoise.io.dicom_file import (
    DamagedFileError,
    DicomHeader,
    quiet_pydicom,
    read_header,
    read_instance,
    transfer_syntax,
)
from ctdenoise.io.dicom_identity import free_series_numbers, series_uid, source_of, stack_key
from ctdenoise.io.dicom_native import NativeFrames
from ctdenoise.io.dicom_pixels import stored_values, without_unused_bits
from ctdenoise.io.dicom_slice import SliceHeader, slices_of
from ctdenoise.io.dicom_stored import Words, stored_from_hu
from ctdenoise.io.dicom_uids import new_uid
from ctdenoise.io.dicom_writer import LOSSY_METHODS, scale_of
from ctdenoise.io.growing import Mark


class EnhancedSeriesWriter:
    """Writes derived multi-frame objects into a folder, slice after slice.

    Each object of the source gives one object, whose frames are its slices of the stack in the
    order of the stack. Slices of several objects may alternate. Memory holds the functional groups
    of the objects, and the pixels of a source only where it is compressed and has padding.

    Args:
        scan: What was read from DICOM, for which `check_derivable` holds; its history says what
            was done since.
        folder: An existing folder; the caller stages it.
        series_number: Number of the new series; by default the next free one.
        settings: How to write it; the defaults if None. Value 2 of the image type is always
            PRIMARY: the multi-frame classes know no other (PS3.3 C.8.16.1.2).
        posix_s: When the run began, in seconds since 1970; now by default.

    Raises:
        StudyError: If a source file changed or vanished since it was read.
    """

    def __init__(
        self,
        scan: Scan,
        folder: Path,
        *,
        series_number: int | None = None,
        settings: DicomSettings | None = None,
        posix_s: int | None = None,
    ) -> None:
        settings = settings or DicomSettings()
        source = source_of(scan)
        if series_number is None:
            series_number = free_series_numbers([scan], settings)[0]
        self._folder = folder
        self._objects = derived_objects(
            scan, folder, series_number=series_number, settings=settings, posix_s=posix_s
        )
        self.names = [one.name for one in self._objects.values()]
        self._instances = source.instances
        self._done = 0
        self._checksum = hashlib.sha256()

    def write(self, block: CTVolume) -> None:
        """Write the next slices.

        Args:
            block: These slices, with what was done to them.

        Raises:
            StudyError: If a source file changed or vanished since it was read.
        """
        instances = self._instances[self._done : self._done + block.shape[0]]
        with quiet_pydicom():
            words = self._new_words(block, instances)
            for instance, frame in zip(instances, words, strict=True):
                self._checksum.update(self._objects[instance.path].append(frame))
                self._done += 1

    def mark(self) -> Mark:
        """See `Growing`; the files reach the disk when the stage ends."""
        return Mark(self._done, self._checksum.hexdigest())

    def whole_marks(self, marks: Sequence[Mark]) -> int:
        """See `Growing`."""
        with quiet_pydicom():
            chunks = self._chunks()
            checksum, done = hashlib.sha256(), 0
            for number, mark in enumerate(marks):
                while done < mark.length:
                    chunk = next(chunks, None)
                    if chunk is None:
                        return number
                    checksum.update(chunk)
                    done += 1
                if checksum.hexdigest() != mark.sha256:
                    return number
        return len(marks)

    def cut_to(self, mark: Mark | None) -> None:
        """See `Growing`."""
        self._done = 0 if mark is None else mark.length
        self._checksum = hashlib.sha256()
        with quiet_pydicom():
            chunks = self._chunks()
            for _ in range(self._done):
                self._checksum.update(next(chunks))
            kept = self._instances[: self._done]
            for path, one in self._objects.items():
                one.cut_to(sum(instance.path == path for instance in kept))
        for path in sorted(self._folder.iterdir()):
            if path.name not in self.names:
                path.unlink()

    def _chunks(self) -> Iterator[bytes]:
        """The frames on disk in the order of the slices, as they lie in their files."""
        files: dict[Path, Iterator[bytes]] = {}
        for instance in self._instances:
            if instance.path not in files:
                files[instance.path] = self._objects[instance.path].chunks()
            chunk = next(files[instance.path], None)
            if chunk is None:
                return
            yield chunk

    def _new_words(self, block: CTVolume, instances: Sequence[SourceInstance]) -> Iterator[Words]:
        wanted: dict[Path, list[int]] = {}
        for instance in instances:
            wanted.setdefault(instance.path, []).append(instance.frame or 0)
        old = {path: self._objects[path].source_words(frames) for path, frames in wanted.items()}
        for place, instance in enumerate(instances):
            one = self._objects[instance.path].slice_of(instance)
            words = _next_words(old[instance.path], instance)
            stored = None
            if words is not None:
                allocated, bits = one.bits_allocated, one.bits_stored
                stored = without_unused_bits(words, allocated=allocated, stored=bits)
            padding = None if block.padding is None else block.padding[place]
            yield stored_from_hu(
                block.hu[place], scale_of(one), source=stored, source_words=words, padding=padding
            )


def derived_objects(
    scan: Scan,
    folder: Path,
    *,
    series_number: int,
    settings: DicomSettings,
    posix_s: int | None = None,
    describe: Callable[[Dataset], None] | None = None,
) -> dict[Path, DerivedObject]:
    """The objects of one new series by the file of their source, nothing written yet.

    Args:
        scan: What was read from multi-frame objects.
        folder: An existing folder.
        series_number: Number of the new series.
        settings: How to write it.
        posix_s: When the run began, in seconds since 1970; now by default.
        describe: Called with each header before it is written, to change it.

    Raises:
        StudyError: If a source file changed or vanished since it was read.
    """
    source = source_of(scan)
    with quiet_pydicom():
        first = _header_of(source.instances[0]).dataset
        moment = run_moment(text_of(first, "TimezoneOffsetFromUTC"), posix_s)
    derivation, uid = derivation_of(scan.history, settings), series_uid(scan, settings)
    series = NewSeries(derivation, uid, series_number, moment, settings)
    return {
        path: DerivedObject(
            instances, folder / f"{number:05d}.dcm", series, stack_key(source), describe
        )
        for number, (path, instances) in enumerate(frames_by_file(source).items(), start=1)
    }


class DerivedObject:
    """One object on its way from the header of its source to a whole file.

    Args:
        instances: Its slices, in order.
        path: The file to write.
        series: What its series shares.
        stack: See `stack_key`.
        describe: Called with the header before it is written, to change it.
    """

    def __init__(
        self,
        instances: Sequence[SourceInstance],
        path: Path,
        series: NewSeries,
        stack: str,
        describe: Callable[[Dataset], None] | None = None,
    ) -> None:
        self._instances, self._path, self._series = instances, path, series
        self._stack, self._describe = stack, describe
        self.name = path.name
        self._native = NativeFrames()
        self._slices: dict[int, SliceHeader] = {}
        self._file: FrameFile | None = None
        self._whole_source: Dataset | None = None

    def append(self, words: Words) -> bytes:
        """Write the next frame; returns its bytes as they lie in the file."""
        file = self._opened()
        try:
            chunk = file.append(words)
        except DamagedFileError as error:
            raise StudyError(
                f"no object can be derived: {error}.",
                where=self._instances[0].path,
                fix="Write it uncompressed, with dicom.transfer_syntax=explicit.",
            ) from error
        if file.is_complete:
            self._whole_source = None
        return chunk

    def chunks(self) -> Iterator[bytes]:
        """The frames that the file holds whole, as they lie in it."""
        yield from self._opened().chunks()

    def cut_to(self, count: int) -> None:
        """Forget every frame after the first ones."""
        if count == 0:
            self._path.unlink(missing_ok=True)
            self._file = None
        else:
            self._opened().cut_to(count)

    def slice_of(self, instance: SourceInstance) -> SliceHeader:
        """What the source says about one of the frames."""
        self._opened()
        return self._slices[instance.frame or 0]

    def source_words(
        self, frames: Sequence[int], *, always: bool = False
    ) -> Iterator[Words] | None:
        """Allocated words of frames of the source.

        Args:
            frames: Zero-based frames.
            always: Whether they are wanted also where there is no padding to keep; otherwise None.
        """
        self._opened()
        first = self._instances[0]
        if not always and all(self._slices[frame].padding is None for frame in frames):
            return None
        try:
            native = self._native.of_file(first.path, self._slices[frames[0]], frames)
        except OSError as error:
            raise _unreadable(first.path) from error
        if native is not None:
            return native
        if self._whole_source is None:
            one = self._slices[frames[0]]
            most = object_bytes(one, one.frames)
            try:
                self._whole_source = read_instance(first.path, most_pixel_bytes=most)
            except (DamagedFileError, OSError) as error:
                raise _unreadable(first.path) from error
        return stored_values(self._whole_source, frames)

    def _opened(self) -> FrameFile:
        """The file to write; its header is made when it is first wanted."""
        if self._file is not None:
            return self._file
        first = self._instances[0]
        frames = [instance.frame or 0 for instance in self._instances]
        header = _header_of(first)
        slices = slices_of(first.path, header)
        self._slices = {frame: slices[frame] for frame in frames}
        uid = new_uid("instance", first.sop_instance_uid, self._stack, self._series.derivation.key)
        try:
            # Read once more: text that was accessed before loses its bytes.
            dataset = _header_of(first).dataset
            derived = object_header(dataset, frames, self._series, uid, _loss(header, slices[0]))
            if self._describe is not None:
                self._describe(derived)
            storage = storage_for(self._series.settings.transfer_syntax, derived, len(frames))
            self._file = FrameFile(self._path, derived, len(frames), storage)
        except DamagedFileError as error:
            raise StudyError(f"no object can be derived: {error}.", where=first.path) from error
        return self._file


def _header_of(instance: SourceInstance) -> DicomHeader:
    try:
        header = read_header(instance.path)
    except (DamagedFileError, OSError) as error:
        raise _unreadable(instance.path) from error
    if header.dataset.get("SOPInstanceUID") != instance.sop_instance_uid:
        raise StudyError("the source file changed since it was read.", where=instance.path)
    return header


def _unreadable(path: Path) -> StudyError:
    return StudyError("a file of the source series cannot be read again.", where=path)


def _next_words(old: Iterator[Words] | None, instance: SourceInstance) -> Words | None:
    if old is None:
        return None
    try:
        return next(old)
    except (DamagedFileError, StopIteration, OSError) as error:
        raise StudyError(
            "the pixels of a source file cannot be read again.", where=instance.path
        ) from error


def _loss(header: DicomHeader, one: SliceHeader) -> LossyStorage | None:
    """Loss that came from how the source is stored; its size is nearly that of its pixels."""
    method = LOSSY_METHODS.get(transfer_syntax(header.dataset))
    if method is None:
        return None
    return LossyStorage(method, object_bytes(one, one.frames) / one.path.stat().st_size)
