"""Public weights of RED-CNN, under the names of their own programs, as a checkpoint of ours.

Layouts and scales were read in the public sources, at the commits named below. What cannot be seen
in a file of weights, the scale of the images and the last ReLU, is asked for, never guessed.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import CheckpointError, listed
from ctdenoise.io.checksum import sha256_of
from ctdenoise.networks.checkpoint import Checkpoint
from ctdenoise.networks.foreign_weights import read_state_dicts
from ctdenoise.networks.redcnn import DEPTH, KERNEL

_MOST_CHANNELS = 1024
_MOST_PREFIXES = 16

_MEAN, _STD, _OFFSET = 481.45419786099086, 502.18507379395044, 1024.0
"""ldct-benchmark: mean and standard deviation of its training images, and what is added to HU."""


@dataclass(frozen=True, slots=True)
class PublicScale:
    """How a public program scales its images, and how its network ends.

    Args:
        hu_range: Hounsfield units that are 0 and 1 for the network.
        final_relu: Whether the network ends with a ReLU.
        source: Where that is written.
    """

    hu_range: HuRange
    final_relu: bool
    source: str


PUBLIC_SCALES: Mapping[str, PublicScale] = MappingProxyType(
    {
        "ssinyu": PublicScale(
            HuRange(-1024.0, 3072.0),
            final_relu=True,
            source="github.com/SSinyu/RED-CNN: norm_range_min and _max of prep.py at 0ab5487, "
            "last line of networks.py at ec7d10d",
        ),
        "ldct-benchmark": PublicScale(
            HuRange(_MEAN - _OFFSET, _MEAN - _OFFSET + _STD),
            final_relu=False,
            source="github.com/eeulig/ldct-benchmark: `meanstd` of data/info.yml and "
            "methods/redcnn/network.py at 73b4cef",
        ),
        "ldct-benchmark-minmax": PublicScale(
            HuRange(-_OFFSET, 4095.0 - _OFFSET),
            final_relu=False,
            source="github.com/eeulig/ldct-benchmark: `minmax` of data/info.yml and "
            "methods/redcnn/network.py at 73b4cef",
        ),
    }
)
"""Scales that public weights of RED-CNN were trained in.

ldct-benchmark works on stored values, which are HU + 1024 there (`_convert_hu` of LDCTMayo.py), and
trains with `(x - mean) / std`; the weights that it offers for download are of this kind
(hub/checkpoints.json at 391bf69).
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the layers in a public program.

    Args:
        layers: For each of its layers, those of ours that have its weights.
        source: Where it is written.
    """

    layers: Mapping[str, tuple[str, ...]]
    source: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its tensors."""
        return tuple(f"{layer}.{part}" for layer in self.layers for part in ("weight", "bias"))


_NUMBERED = [f"{kind}{number}" for kind in ("conv", "tconv") for number in range(1, DEPTH + 1)]
_INNER_DOWN, _INNER_UP = tuple(_NUMBERED[1:DEPTH]), tuple(_NUMBERED[DEPTH:-1])

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        {name: (name,) for name in _NUMBERED},
        "github.com/SSinyu/RED-CNN, networks.py at ec7d10d; github.com/eeulig/ldct-benchmark, "
        "methods/redcnn and methods/dugan at 73b4cef",
    ),
    Layout(
        {
            "conv_first": ("conv1",),
            "conv": _INNER_DOWN,
            "conv_t": _INNER_UP,
            "conv_t_last": ("tconv5",),
        },
        "github.com/SSinyu/RED-CNN, networks.py at 7fed719: inner layers share their weights",
    ),
    Layout(
        {
            "conv_first": ("conv1",),
            "conv": _INNER_DOWN,
            "deconv": _INNER_UP,
            "deconv_last": ("tconv5",),
        },
        "github.com/SSinyu/RED-CNN, Mayo/Mayo_REDCNN_model.py at 1108850: inner layers share "
        "their weights",
    ),
)
"""Layouts of public RED-CNNs whose function is that of ours: kernels of 5, no padding, the same
shortcuts. Programs that name their layers `conv1..5` and `deconv1..5` differ from each other in
padding and order, and the weights do not tell, so they are refused."""


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """Public weights as a checkpoint, and how they were understood.

    Args:
        network: The network that the weights fit.
        checkpoint: The network, its weights under our names, its scale.
        layout: Whose names the file had.
        entry: Where in the file the network stands; "" for the whole file.
        left: Names of the tensors beside it, which belong to something else.
    """

    network: RedCnnSettings
    checkpoint: Checkpoint
    layout: Layout
    entry: str
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A place in a file where a network of a layout may stand."""

    entry: str
    layout: Layout
    tensors: Mapping[str, Tensor]
    beside: tuple[str, ...]

    @property
    def known(self) -> int:
        return sum(name in self.tensors for name in self.layout.names)

    def problems(self) -> list[str]:
        """What keeps it from being one."""
        unknown = [name for name in self.tensors if name not in self.layout.names]
        found = []
        for name in self.layout.names:
            if name not in self.tensors:
                near = difflib.get_close_matches(name, unknown, n=1, cutoff=0.7)
                found.append(f"{name} is missing" + (f"; there is {near[0]}" if near else ""))
        found += [f"{name} is unknown" for name in unknown]
        return found + self._misshapen()

    def _misshapen(self) -> list[str]:
        first = self.tensors.get(self.layout.names[0])
        if first is None:
            return []
        if first.ndim != 4 or not 1 <= first.shape[0] <= _MOST_CHANNELS:
            return [f"{self.layout.names[0]} is {tuple(first.shape)}, not the kernels of 5 x 5"]
        expected = _shapes(first.shape[0])
        shapes = {
            f"{layer}.{part}": expected[f"{ours}.{part}"]
            for layer, (ours, *_) in self.layout.layers.items()
            for part in ("weight", "bias")
        }
        return [
            f"{name} is {found}"
            for name, shape in shapes.items()
            if name in self.tensors and (found := _misfit(self.tensors[name], shape))
        ]


def import_weights(
    file: Path,
    hu_range: HuRange,
    *,
    final_relu: bool,
    entry: str | None = None,
    scale: str | None = None,
) -> Imported:
    """Public weights of RED-CNN as a checkpoint.

    Args:
        file: A torch file or safetensors with a state dict in it, alone or beside other things;
            names may begin with `module.`, `model.` and the like.
        hu_range: Hounsfield units that were 0 and 1 where the weights were trained.
        final_relu: Whether that network ended with a ReLU.
        entry: Where in the file the network stands, if several do: `generator`, say.
        scale: Name of the public scale, for the record.

    Raises:
        CheckpointError: If the file cannot be read safely, holds no RED-CNN of a known layout,
            holds several and `entry` names none of them, or a weight is not a finite number.
    """
    candidates = list(_candidates(read_state_dicts(file)))
    if not candidates:
        raise CheckpointError(
            "there are no weights in this file.",
            where=file,
            fix="Give a state dict that torch.save or safetensors wrote.",
        )
    chosen = _chosen(candidates, entry, file)
    weights = {
        f"{ours}.{part}": chosen.tensors[f"{layer}.{part}"].to("cpu", torch.float32, copy=True)
        for layer, names in chosen.layout.layers.items()
        for ours in names
        for part in ("weight", "bias")
    }
    unusable = sorted(name for name, tensor in weights.items() if not tensor.isfinite().all())
    if unusable:
        raise CheckpointError(
            f"some weights in this file are not finite numbers ({', '.join(unusable[:3])}).",
            where=file,
            fix="Their training went wrong, or the file is damaged: get another one.",
        )
    settings = RedCnnSettings(
        channels=weights["conv1.weight"].shape[0], final_relu=final_relu, start_as_identity=False
    )
    record: dict[str, JsonValue] = {
        "imported": {
            "sha256": sha256_of(file),
            "entry": chosen.entry,
            "layout": chosen.layout.source,
            "scale": scale,
        }
    }
    checkpoint = Checkpoint(settings, weights, hu_range, record)
    return Imported(settings, checkpoint, chosen.layout, chosen.entry, chosen.beside)


def _candidates(found: Mapping[str, Mapping[str, Tensor]]) -> Iterator[_Candidate]:
    """Every place with at least one name of a layout; without any, the places as they are."""
    for place, tensors in found.items():
        for layout in LAYOUTS:
            for prefix in _prefixes(tensors, layout):
                inside = {
                    name.removeprefix(prefix): tensor
                    for name, tensor in tensors.items()
                    if name.startswith(prefix)
                }
                beside = tuple(name for name in tensors if not name.startswith(prefix))
                entry = ".".join(part for part in (place, prefix.rstrip(".")) if part)
                yield _Candidate(entry, layout, inside, beside)


def _prefixes(tensors: Mapping[str, Tensor], layout: Layout) -> list[str]:
    """What may stand before the names of a layout, `module.` and the like; the likeliest."""
    known = set(layout.names)
    prefixes: Counter[str] = Counter()
    for name in tensors:
        outer, _, rest = f".{name}".rpartition(".")
        outer, _, layer = outer.rpartition(".")
        if f"{layer}.{rest}" in known:
            prefixes[f"{outer}.".removeprefix(".")] += 1
    return [prefix for prefix, _ in prefixes.most_common(_MOST_PREFIXES)] or [""]


def _chosen(candidates: Sequence[_Candidate], entry: str | None, file: Path) -> _Candidate:
    fitting = [candidate for candidate in candidates if not candidate.problems()]
    entries = sorted({candidate.entry for candidate in fitting})
    if entry is not None:
        named = [candidate for candidate in fitting if candidate.entry == entry]
        if not named and fitting:
            raise CheckpointError(
                f"there is no RED-CNN in this file under `{entry}`.",
                where=file,
                fix=f"There is one under {_spoken(entries)}.",
            )
        fitting = named
    if not fitting:
        raise _unfitting(candidates, file)
    if len(fitting) > 1:
        raise CheckpointError(
            f"this file holds several networks: {_spoken(entries)}.",
            where=file,
            fix="Say which one with --entry.",
        )
    return fitting[0]


def _unfitting(candidates: Sequence[_Candidate], file: Path) -> CheckpointError:
    """One message about the place that comes nearest."""
    nearest = max(candidates, key=lambda candidate: (candidate.known, -len(candidate.tensors)))
    place = f" under `{nearest.entry}`" if nearest.entry else ""
    fix = (
        "These layouts are known: "
        + "; ".join(", ".join(layout.layers) for layout in LAYOUTS)
        + "; each may begin with `module.` or the like."
    )
    if not nearest.known:
        names = ", ".join(list(nearest.tensors)[:4])
        return CheckpointError(
            f"the {len(nearest.tensors)} tensors{place} are no RED-CNN of a known layout: {names}.",
            where=file,
            fix=fix,
        )
    return CheckpointError(
        f"the weights{place} are no RED-CNN of a known layout:\n{listed(nearest.problems())}",
        where=file,
        fix=fix,
    )


def _shapes(channels: int) -> dict[str, tuple[int, ...]]:
    """Shapes of our weights."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(1, DEPTH + 1):
        inputs = 1 if number == 1 else channels
        outputs = 1 if number == DEPTH else channels
        shapes[f"conv{number}.weight"] = (channels, inputs, KERNEL, KERNEL)
        shapes[f"conv{number}.bias"] = (channels,)
        shapes[f"tconv{number}.weight"] = (channels, outputs, KERNEL, KERNEL)
        shapes[f"tconv{number}.bias"] = (outputs,)
    return shapes


def _misfit(tensor: Tensor, shape: tuple[int, ...]) -> str:
    """What a tensor is instead of plain numbers of a shape; nothing where it is that."""
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta:
        return f"of the kind {tensor.dtype}, not plain numbers"
    if tuple(tensor.shape) != shape:
        return f"{tuple(tensor.shape)}, not {shape}"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "stretched: fewer numbers are stored than its shape says"
    return ""


def _spoken(entries: Sequence[str]) -> str:
    return " and ".join(f"`{entry}`" for entry in entries)
