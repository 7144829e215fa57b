"""What many studies need, computed from measured figures: processors, GPU, disk, network, ledger.

    python -m tests.perf.capacity
    python -m tests.perf.capacity --studies 50000 --slices 500 --machines 1 4 --cores 16

Nothing is measured here. Every figure names the page on which it was, and what is assumed says so;
`docs/explanation/capacity.md` holds what is printed without options.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LEDGER_SIZE = "python -m tests.perf.study_ledger_size"
KERNEL, WIDTH, LAYERS = 5, 96, 5


@dataclass(frozen=True)
class Figure:
    """A number that was measured, or is assumed.

    Args:
        value: The number.
        words: What it is, with its unit.
        source: Page with the measurement; empty for an assumption.
    """

    value: float
    words: str
    source: str = ""


FIGURES = {
    "redcnn": Figure(1.32, "processor seconds a slice, RED-CNN", "inference_speed"),
    "compact": Figure(0.165, "processor seconds a slice, compact network", "inference_speed"),
    "files": Figure(
        (33.5 - 27.7) * 2 / 300,
        "processor seconds a slice for reading, checking, writing and judging: the clock of both "
        "cores outside the network, so at most this",
        "inference_speed",
    ),
    "simulate": Figure(15.2 / 300, "processor seconds a slice, low-dose twin", "simulator_speed"),
    "explicit": Figure(158 / 300, "MB a slice, uncompressed", "dicom_writing"),
    "jpeg-ls": Figure(56 / 300, "MB a slice, JPEG-LS", "dicom_writing"),
    "coding": Figure(
        (6.5 - 3.1) / 300, "more processor seconds a slice to write JPEG-LS", "dicom_writing"
    ),
    "job": Figure(12_534, "bytes of a job of 300 files in the ledger", LEDGER_SIZE),
    "instances": Figure(26_993, "bytes for the hashes of 300 instances", LEDGER_SIZE),
    "confirmed": Figure(12_739, "bytes for 300 confirmed instances", LEDGER_SIZE),
    "quicker": Figure(
        3.5 / 5.4, "time on the same kind of machine on a better day", "inference_speed"
    ),
    "peak": Figure(790, "TFLOP/s that an H200 reaches in dense bf16 matrix products"),
    "share low": Figure(0.3, "share of that peak, pessimistic"),
    "share high": Figure(0.6, "share of that peak, aimed at"),
    "gigabit": Figure(0.11, "GB/s that a network of 1 Gbit/s carries"),
}


NETWORKS = {"RED-CNN": "redcnn", "compact network": "compact"}
TWINS = "low-dose twins (`simulate`)"


def gflop_of_redcnn(size: int = 512) -> float:
    """Operations for one slice by direct convolution: five layers down, five up, no padding."""
    sides = [size - (KERNEL - 1) * (layer + 1) for layer in range(LAYERS)]
    ends = 2 * sides[0] ** 2 * KERNEL**2 * WIDTH  # the first and the last have one channel
    inner = 2 * sum(side**2 for side in sides[1:]) * KERNEL**2 * WIDTH**2
    return 2 * (ends + inner) / 1e9


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Args:
        studies: How many.
        slices: Of each.
        machines: How many machines, for the table of days.
        cores: Cores of each.
        days_kept: Days for which studies and results stay on the disk.
        per_day: Studies a day, for the table of a hospital.
    """

    studies: int = 1_000_000
    slices: int = 300
    machines: tuple[int, ...] = (1, 10, 100)
    cores: int = 32
    days_kept: int = 7
    per_day: tuple[int, ...] = (100, 1000)

    def per_study(self, name: str) -> float:
        """A figure a slice, for a study."""
        return FIGURES[name].value * self.slices

    def core_s(self, network: str) -> float:
        """Processor seconds of a study, at most."""
        return self.per_study(network) + self.per_study("files")

    def core_hours(self, network: str) -> float:
        """Of all studies."""
        return self.core_s(network) * self.studies / 3600

    def gpu_s(self, share: str) -> float:
        """Seconds of a study for which the network needs the GPU."""
        flop = gflop_of_redcnn() * 1e9 * self.slices
        return flop / (FIGURES["peak"].value * 1e12 * FIGURES[share].value)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def sources() -> list[str]:
    """Every figure and where it is from."""
    rows = [[_number(one.value), one.words, _origin(one.source)] for one in FIGURES.values()]
    return table(["figure", "what", "from"], rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _origin(source: str) -> str:
    if not source:
        return "assumed"
    return f"`{source}`" if " " in source else f"[{source}](../validation/{source}.md)"


def processors(plan: Plan) -> list[str]:
    """Core hours, and days on so many machines."""
    hours = {name: plan.core_hours(key) for name, key in NETWORKS.items()}
    best = FIGURES["quicker"].value
    ranges = {name: f"{best * most:,.0f} to {most:,.0f}" for name, most in hours.items()}
    twins = plan.per_study("simulate") * plan.studies / 3600
    hours[TWINS], ranges[TWINS] = twins, f"{twins:,.0f}"
    days = [f"days on {count} x {plan.cores} cores" for count in plan.machines]
    rows = [
        [
            name,
            ranges[name],
            *(f"{most / (count * plan.cores * 24):,.1f}" for count in plan.machines),
        ]
        for name, most in hours.items()
    ]
    return table(["", "core hours", *days], rows)


def graphics(plan: Plan) -> list[str]:
    """GPU hours from arithmetic, and what files do to them."""
    rows = []
    for share in ("share high", "share low"):
        alone = plan.gpu_s(share)
        files = plan.per_study("files")
        rows.append([
            f"{FIGURES[share].value:.0%}",
            f"{1000 * alone / plan.slices:.1f} ms",
            f"{alone:.2f} s",
            f"{alone * plan.studies / 3600:,.0f}",
            f"{files / alone:,.0f}",
            *(f"{max(alone, files / cores) * plan.studies / 3600:,.0f}" for cores in (8, 16)),
        ])  # fmt: skip
    heads = [
        "share of the peak", "a slice", "a study", "GPU hours",
        "cores that keep it busy", "GPU hours with 8 cores", "with 16 cores",
    ]  # fmt: skip
    return table(heads, rows)


def storage(plan: Plan) -> list[str]:
    """Disk and network of all studies."""
    rows = []
    for name, words in (("explicit", "uncompressed"), ("jpeg-ls", "JPEG-LS")):
        one = plan.per_study(name) / 1000
        both = 2 * one * plan.studies
        rows.append([
            words,
            f"{1000 * one:,.0f} MB",
            f"{one * plan.studies / 1000:,.0f} TB",
            f"{both / 1000:,.0f} TB",
            f"{both / FIGURES['gigabit'].value / 86_400:,.0f}",
        ])  # fmt: skip
    coding = plan.per_study("coding") * plan.studies / 3600
    return [
        *table(
            ["", "a series", "results alone", "in and out", "days on 1 Gbit/s"],
            rows,
        ),
        "",
        f"Writing JPEG-LS takes {coding:,.0f} core hours more.",
    ]


def ledger(plan: Plan) -> list[str]:
    """Size of the ledger."""
    parts = [FIGURES[name].value * plan.slices / 300 for name in ("job", "instances", "confirmed")]
    rows = [
        [f"{studies:,}", *(f"{part * studies / 1e9:,.2f} GB" for part in (*parts, sum(parts)))]
        for studies in (10_000, 100_000, plan.studies)
    ]
    return table(["studies in it", "jobs", "hashes", "confirmed", "all"], rows)


def hospital(plan: Plan) -> list[str]:
    """What a service of so many studies a day needs."""
    megabytes = 2 * plan.per_study("explicit")
    rows = [
        [
            f"{count:,}",
            *(f"{plan.core_s(key) * count / 86_400:,.1f}" for key in NETWORKS.values()),
            f"{megabytes * count * plan.days_kept / 1e6:,.2f} TB",
            f"{megabytes * count * 8 / 86_400:,.1f} Mbit/s",
        ]
        for count in plan.per_day
    ]
    heads = [
        "studies a day", "cores at work, RED-CNN", "compact",
        f"disk for {plan.days_kept} days", "network, mean",
    ]  # fmt: skip
    return table(heads, rows)


def report(plan: Plan) -> Iterator[str]:
    """All tables."""
    yield f"{plan.studies:,} studies of {plan.slices} slices"
    parts = {
        "Figures": sources(),
        "Processors": processors(plan),
        f"GPU ({gflop_of_redcnn():,.0f} GFLOP a slice)": graphics(plan),
        "Disk and network": storage(plan),
        "Ledger": ledger(plan),
        "A hospital": hospital(plan),
    }
    for title, lines in parts.items():
        yield ""
        yield title
        yield ""
        yield from lines


def main(words: Sequence[str] | None = None) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = Plan()
    parser.add_argument("--studies", type=int, default=usual.studies)
    parser.add_argument("--slices", type=int, default=usual.slices)
    parser.add_argument("--machines", type=int, nargs="+", default=usual.machines)
    parser.add_argument("--cores", type=int, default=usual.cores, help="of each machine")
    parser.add_argument("--days-kept", type=int, default=usual.days_kept)
    parser.add_argument("--per-day", type=int, nargs="+", default=usual.per_day)
    given = vars(parser.parse_args(words))
    plan = Plan(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})
    print("\n".join(report(plan)))


if __name__ == "__main__":
    main()
