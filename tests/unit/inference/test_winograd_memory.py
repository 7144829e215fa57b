"""Convolution kernels write into the memory that is theirs, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.inference.crew import Crew, Function
from ctdenoise.inference.feature_maps import Finish, Store
from ctdenoise.inference.vector_code import AVX2, AVX512, VectorUnit, host_vector_unit
from ctdenoise.inference.winograd import WinogradConvolution

HOST = host_vector_unit()
UNITS = [AVX2, AVX512] if HOST is AVX512 else [AVX2]
GUARDED = 1 << 16
UNTOUCHED = np.float32(7.25)

pytestmark = pytest.mark.skipif(HOST is None, reason="the kernels need AVX2")


class GuardedCrew(Crew):
    """One thread, whose memory is followed by numbers that must stay."""

    def run(self, function: Function, numbers: int, scratch: int) -> None:
        memory = np.full(scratch + GUARDED, UNTOUCHED, np.float32)
        function(numbers, memory.ctypes.data)
        assert (memory[scratch:] == UNTOUCHED).all()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize(
    ("parts", "outputs"),
    [
        ((128,), 32),
        ((128,), 112),
        ((48,), 32),
        ((96,), 96),
        ((32,), 96),
        ((130,), 17),
        ((7, 40), 5),
    ],
    ids=str,
)
def test_scratch_memory_holds_all_that_a_kernel_keeps(
    unit: VectorUnit, taps: int, parts: tuple[int, ...], outputs: int
):
    random = np.random.default_rng(0)
    weight, bias = random.normal(size=(outputs, sum(parts), taps, taps)), np.zeros(outputs)
    kernel = WinogradConvolution(weight, bias, padding=taps // 2, unit=unit, parts=parts)
    store = Store()
    inputs = [store.empty(61, 53, part) for part in parts]
    for maps in inputs:
        maps.data.fill_(1.0)
    kernel(inputs, store.empty(*kernel.size_after((61, 53)), outputs), Finish(), GuardedCrew(1))
