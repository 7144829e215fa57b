"""Slices that wait in a file, so that memory need not hold them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt


class SliceFile:
    """Slices of one size and type, written one after the other and read one by one.

    Args:
        path: The file to make; it is removed when the block ends.
        size: Pixels of a slice along (y, x).
        dtype: Type of a pixel.
    """

    def __init__(self, path: Path, size: tuple[int, int], dtype: npt.DTypeLike) -> None:
        self._path, self._size, self._dtype = path, size, np.dtype(dtype)
        self._file = path.open("x+b")
        self._slices = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size of what was written, along [z, y, x]."""
        return self._slices, *self._size

    def __len__(self) -> int:
        """How many slices were written."""
        return self._slices

    def append(self, slices: npt.NDArray[Any]) -> None:
        """Write the next slices.

        Args:
            slices: Of the type, [z, y, x].
        """
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(slices, dtype=self._dtype).data.cast("B"))
        self._slices += len(slices)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        """One slice [y, x]."""
        if not 0 <= index < self._slices:
            raise IndexError(index)
        count = self._size[0] * self._size[1]
        self._file.seek(index * count * self._dtype.itemsize)
        data = self._file.read(count * self._dtype.itemsize)
        return np.frombuffer(data, self._dtype).reshape(self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
