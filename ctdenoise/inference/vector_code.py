"""Machine code for vectors of float32, written as LLVM code and compiled in the process.

numba is built on llvmlite, which turns the LLVM code written here into instructions of the
processor at hand: no compiler is needed on the user's machine, and the loops hold exactly the
vector instructions that are meant. What is compiled this way runs outside of Python's lock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from llvmlite import binding as llvm
from llvmlite import ir

Value = Any
"""A value of the code being written; llvmlite has no types."""

INT = ir.IntType(64)
FLOAT = ir.FloatType()
FLOATS = FLOAT.as_pointer()
INTS = INT.as_pointer()

_OPTIMISATION = 3


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """What a processor computes with.

    Args:
        name: For records: "avx512".
        lanes: float32 numbers in one vector.
        registers: Vectors that it holds at once.
        features: What the code generator may use, in LLVM's words, beside what the processor has.
    """

    name: str
    lanes: int
    registers: int
    features: str = ""


AVX512 = VectorUnit("avx512", lanes=16, registers=32)
AVX2 = VectorUnit("avx2", lanes=8, registers=16, features="-avx512f,-avx512vl")


def host_vector_unit() -> VectorUnit | None:
    """The widest vectors of this processor; None where the kernels here would not be fast."""
    try:
        found = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this processor
        return None
    if not (found.get("avx2") and found.get("fma")):
        return None
    return AVX512 if found.get("avx512f") and found.get("avx512vl") else AVX2


def group_of(vectors: int, unit: VectorUnit, *, exact: bool = False) -> int:
    """Output vectors computed at once: as many as registers allow and divide them best.

    Args:
        vectors: Of output channels.
        unit: What computes.
        exact: Whether groups must be whole.
    """
    largest = 6 if unit.registers > 16 else 3
    groups = [group for group in range(largest, 0, -1) if not (exact and vectors % group)]
    return min(groups, key=lambda group: -(-vectors // group) * group)


class Code:
    """One function that is being written, and the vectors it works on.

    Args:
        module: Where it goes.
        name: Its name.
        arguments: Types of its arguments.
        lanes: Numbers in a vector.
        internal: Whether only functions of the same module call it.
    """

    def __init__(
        self,
        module: ir.Module,
        name: str,
        arguments: Sequence[Any],
        *,
        lanes: int,
        internal: bool = True,
    ) -> None:
        kind = ir.FunctionType(ir.VoidType(), arguments)
        self.function = ir.Function(module, kind, name)
        if internal:
            self.function.linkage = "internal"
            self.function.attributes.add("noinline")
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.lanes = lanes
        self.vector = ir.VectorType(FLOAT, lanes)
        self._module = module

    @property
    def arguments(self) -> tuple[Value, ...]:
        """What it is called with."""
        return tuple(self.function.args)

    def finish(self) -> Any:
        """Return to the caller; gives the function."""
        self.builder.ret_void()
        return self.function

    def place(self, pointer: Value, offset: Value | int) -> Value:
        """The address so many numbers after another."""
        return self.builder.gep(pointer, [_int(offset)])

    def load(self, pointer: Value, offset: Value | int = 0) -> Value:
        """The vector that starts at an address."""
        place = self.builder.bitcast(self.place(pointer, offset), self.vector.as_pointer())
        return self.builder.load(place, align=4)

    def store(self, vector: Value, pointer: Value, offset: Value | int = 0) -> None:
        """Write a vector."""
        place = self.builder.bitcast(self.place(pointer, offset), self.vector.as_pointer())
        self.builder.store(vector, place, align=4)

    def load_splat(self, pointer: Value, offset: Value | int = 0) -> Value:
        """One number of the memory in every lane."""
        number = self.builder.load(self.place(pointer, offset), align=4)
        empty = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, empty, zeros)

    def constant(self, number: float) -> Value:
        """The same number in every lane."""
        return ir.Constant(self.vector, [ir.Constant(FLOAT, number)] * self.lanes)

    def multiply_add(self, one: Value, two: Value, three: Value) -> Value:
        """`one * two + three`, rounded once."""
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fma.v{self.lanes}f32"
        known = self._module.globals.get(name)
        return self.builder.call(known or ir.Function(self._module, kind, name), (one, two, three))

    def larger(self, one: Value, two: Value) -> Value:
        """The larger of two vectors; what is not a number in `two` stays."""
        return self.builder.select(self.builder.fcmp_ordered(">", one, two), one, two)

    def combined(self, terms: Sequence[tuple[Fraction, Value]]) -> Value:
        """The sum of vectors times exact factors; terms with the factor 0 are left out."""
        kept = sorted((term for term in terms if term[0]), key=lambda term: abs(term[0]) != 1)
        factor, total = kept[0]
        if factor == -1:
            total = self.builder.fneg(total)
        elif factor != 1:
            total = self.builder.fmul(self.constant(float(factor)), total)
        for factor, vector in kept[1:]:
            if factor == 1:
                total = self.builder.fadd(total, vector)
            elif factor == -1:
                total = self.builder.fsub(total, vector)
            else:
                total = self.multiply_add(self.constant(float(factor)), vector, total)
        return total

    @contextmanager
    def loop(self, stop: Value | int, *, step: int = 1) -> Iterator[Value]:
        """Repeat what is written inside for 0, step, 2 step ... below `stop`, at least once."""
        with self.summing_loop(stop, [], step=step) as (index, _, __):
            yield index

    @contextmanager
    def summing_loop(
        self, stop: Value | int, start: Sequence[Value], *, step: int = 1
    ) -> Iterator[tuple[Value, list[Value], list[Value]]]:
        """A loop with values that each turn changes.

        Args:
            stop: Where the index ends; the body runs at least once.
            start: Values before the first turn.
            step: What the index grows by.

        Yields:
            The index, the values at the start of the turn, and a list that is to hold those at its
            end; after the loop it holds the last ones.
        """
        builder = self.builder
        before, body = builder.block, builder.append_basic_block("body")
        builder.branch(body)
        builder.position_at_end(body)
        index = builder.phi(INT)
        values = [builder.phi(value.type) for value in start]
        index.add_incoming(_int(0), before)
        for value, first in zip(values, start, strict=True):
            value.add_incoming(first, before)
        changed: list[Value] = []
        yield index, values, changed
        following = builder.add(index, _int(step))
        end = builder.block
        index.add_incoming(following, end)
        for value, last in zip(values, changed, strict=True):
            value.add_incoming(last, end)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", following, _int(stop)), body, after)
        builder.position_at_end(after)

    def smaller(self, one: Value | int, two: Value | int) -> Value:
        """The smaller of two whole numbers."""
        return self.builder.select(
            self.builder.icmp_signed("<", _int(one), _int(two)), _int(one), _int(two)
        )

    def times(self, one: Value | int, two: Value | int) -> Value:
        """The product of two whole numbers."""
        return self.builder.mul(_int(one), _int(two))

    def plus(self, one: Value | int, two: Value | int) -> Value:
        """The sum of two whole numbers."""
        return self.builder.add(_int(one), _int(two))

    def within(self, number: Value, stop: Value) -> Value:
        """Whether a whole number is at least 0 and below another."""
        return self.builder.icmp_unsigned("<", number, stop)

    def space(self, vectors: int) -> Value:
        """Room for vectors on the stack."""
        room = self.builder.alloca(self.vector, size=_int(vectors))
        room.align = 4 * self.lanes
        return self.builder.bitcast(room, FLOATS)

    def call(self, function: Any, arguments: Sequence[Value | int]) -> None:
        """Call a function of the same module."""
        self.builder.call(function, [_int(one) for one in arguments])


def _int(value: Value | int) -> Value:
    return ir.Constant(INT, value) if isinstance(value, int) else value


class Compiled:
    """Functions in the memory of this process, ready to be called.

    Args:
        module: The code; functions that take an address of whole numbers and one of float32.
        unit: What it may compute with.
    """

    def __init__(self, module: ir.Module, unit: VectorUnit) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        found = llvm.get_host_cpu_features().flatten()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(),
            features=",".join(part for part in (found, unit.features) if part),
            opt=_OPTIMISATION,
            codemodel="jitdefault",
            jit=True,
        )
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        parsed = llvm.parse_assembly(str(module))
        parsed.verify()
        # The engine owns the code: as long as it lives, so do the functions.
        self._machine_code = llvm.create_mcjit_compiler(parsed, machine)
        self._machine_code.finalize_object()
        self.text = lambda: machine.emit_assembly(parsed)

    def function(self, name: str) -> Callable[[int, int], None]:
        """A function by its name; it takes two addresses and lets other threads run meanwhile."""
        address = self._machine_code.get_function_address(name)
        compiled = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)

        def run(numbers: int, memory: int, _owner: Compiled = self) -> None:
            compiled(numbers, memory)

        return run
