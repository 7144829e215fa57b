"""Tables of scores of the study of released models."""

from __future__ import annotations

from ctdenoise.config.model_card import ResultTable
from tests.perf.study_release_found import (
    WORDS,
    Found,
    called,
    mean,
    mean_of,
    percent,
    rounded,
    signed,
    told,
)
from tests.perf.study_release_measures import INPUT, PSNR, SSIM, limit_db
from tests.perf.study_release_pairs import KERNELS, MAIN_TORSOS, PATIENTS, TORSOS

TISSUES = ("lung", "fat", "soft", "bone")


def gains(found: Found) -> ResultTable | None:
    """The goal: gain at a quarter of the dose."""
    rows = []
    for kernel in ("smooth", "sharp", "own"):
        for method, strength in found.methods:
            values = [
                None if row is None else round(found.gain(row), 2)
                for source in PATIENTS
                for row in [found.row(source, kernel, 0.25, method, strength)]
            ]
            if any(value is not None for value in values):
                rows.append((kernel, called(method, strength), *values, mean(values)))
    return found.table(
        "Gain of the PSNR (-160 to 240 HU) at a quarter of the dose, dB",
        "Patients against their own noisy full dose: the most that can be gained is "
        f"{limit_db(0.25):.2f} dB. Kernels: f50 of 0.30 and 0.70 per mm, and that of the series. "
        "Filters are told the true noise (the root mean square of low dose less full dose in soft "
        "tissue); the models measure it. The GE liver and the Siemens abdomen (a mild iterative "
        "reconstruction, with the noise of a plain one added) took no part in any training.",
        ("kernel", "method", *(WORDS[source] for source in PATIENTS), "mean"),
        rows,
    )


def by_dose(found: Found) -> ResultTable | None:
    """Means over the patients, at every dose."""
    rows = []
    for kernel in KERNELS:
        for dose in (0.75, 0.5, 0.25, 0.1, 0.05):
            for method, strength in [(INPUT, 0.0), *found.methods]:
                some = [found.row(source, kernel, dose, method, strength) for source in PATIENTS]
                known = [row for row in some if row is not None]
                if len(known) < len(PATIENTS):
                    continue
                gains = [found.gain(row) for row in known]
                cells = [
                    mean_of(known, key, digits)
                    for key, digits in ((PSNR, 2), (SSIM, 3), ("rmse", 2), ("rmse_soft", 2))
                ]
                name = "low dose" if method == INPUT else called(method, strength)
                gain = None if method == INPUT else mean(gains)
                rows.append((kernel, f"{dose * 100:g} %", name, gain, *cells))
    return found.table(
        "By dose and kernel, means of the patients",
        "PSNR, its gain and SSIM from -160 to 240 HU; RMSE in the body and in soft tissue, HU, "
        "unclipped. Against a noisy full dose the gain cannot exceed -10 log10(dose): 1.25, 3.01, "
        "6.02, 10 and 13 dB at 75, 50, 25, 10 and 5 %.",
        ("kernel", "dose", "method", "gain, dB", "PSNR, dB", "SSIM", "RMSE", "RMSE, soft"),
        rows,
    )


def patients(found: Found) -> ResultTable | None:
    """Every patient, with RMSE against the best of the others."""
    rows = []
    for source in PATIENTS:
        for kernel in KERNELS:
            for dose in (0.5, 0.25, 0.1):
                own = found.row(source, kernel, dose, found.name, found.strength)
                low = found.row(source, kernel, dose, INPUT, 0.0)
                equal = found.row(source, kernel, dose, told(found.name), found.strength)
                if own is None or low is None or equal is None:
                    continue
                best = min(
                    (
                        (row["rmse"], row["rmse_soft"], method)
                        for method, strength in found.others
                        for row in [found.row(source, kernel, dose, method, strength)]
                        if row is not None
                    ),
                    default=(None, None, "none"),
                )
                cells = [
                    round(one[key], 2) for key in ("rmse", "rmse_soft") for one in (low, own, equal)
                ]
                rest = [None if value is None else round(value, 2) for value in best[:2]]
                rows.append((WORDS[source], kernel, f"{dose * 100:g} %", *cells, *rest, best[2]))
    return found.table(
        "Every patient: RMSE against the best of the other methods, HU",
        "The model at its recommended strength, as it measures the noise and told what the filters "
        "are told. In the body, and in soft tissue.",
        (
            "patient",
            "kernel",
            "dose",
            "low dose",
            found.name,
            told(found.name),
            "low dose, soft",
            f"{found.name}, soft",
            f"{told(found.name)}, soft",
            "best other",
            "best other, soft",
            "which",
        ),
        rows,
    )


def strengths(found: Found) -> ResultTable | None:
    """Why the strength is recommended."""
    strengths = sorted(
        {row["strength"] for row in found.scores.values() if row["method"] == found.name}
    )
    rows = []
    for kernel in KERNELS:
        for dose in (0.75, 0.5, 0.25, 0.1, 0.05):
            for sources, kind in ((tuple(PATIENTS), "patients"), (MAIN_TORSOS, "torso, exact")):
                cells = []
                for strength in strengths:
                    some = [found.row(one, kernel, dose, found.name, strength) for one in sources]
                    known = [found.gain(row) for row in some if row is not None]
                    cells.append(mean(known) if len(known) == len(sources) else None)
                if any(cell is not None for cell in cells):
                    rows.append((kernel, f"{dose * 100:g} %", kind, *cells))
    return found.table(
        "Gain by strength, dB",
        "Against a noisy full dose the best share to remove is 1 - dose in theory; against the "
        "truth it is all of the noise.",
        ("kernel", "dose", "truth", *(f"{strength:g}" for strength in strengths)),
        rows,
    )


def bias(found: Found) -> ResultTable | None:
    """Of each tissue."""
    rows = []
    for source in (*PATIENTS, *MAIN_TORSOS):
        for kernel in KERNELS:
            for dose in (0.5, 0.25, 0.1):
                own = found.row(source, kernel, dose, found.name, found.strength)
                low = found.row(source, kernel, dose, INPUT, 0.0)
                if own is None or low is None:
                    continue
                cells = [signed(own, low, f"bias_{tissue}") for tissue in TISSUES]
                rows.append((WORDS[source], kernel, f"{dose * 100:g} %", *cells))
    return found.table(
        "Bias of each tissue against the full dose, HU",
        "In brackets that of the low dose itself: few counts have a bias of their own. At the "
        "recommended strength.",
        ("scan", "kernel", "dose", *TISSUES),
        rows,
    )


def frequencies(found: Found) -> ResultTable | None:
    """Noise that is left, and its texture."""
    rows = []
    for source in (*PATIENTS, *MAIN_TORSOS):
        for kernel in KERNELS:
            for dose in (0.5, 0.25, 0.1):
                own = found.row(source, kernel, dose, found.name, found.strength)
                if own is None:
                    continue
                shift = [
                    percent(own[f"frequency_{name}"], own["frequency_before"])
                    for name in ("left", "removed")
                ]
                noise = [rounded(own[key], 1) for key in ("noise_reference", "noise_test")]
                before = rounded(own["frequency_before"], 3)
                rows.append((WORDS[source], kernel, f"{dose * 100:g} %", *noise, before, *shift))
    return found.table(
        "Noise that is left, and its texture",
        "Noise in soft tissue, HU, and mean frequency of its power spectrum in flat patches, and "
        "by how much that of what is left and of what was removed differ from it. Patches of "
        "patients hold a little anatomy. At the recommended strength.",
        (
            "scan",
            "kernel",
            "dose",
            "noise, full dose",
            "noise, result",
            "mean frequency of the low dose, 1/mm",
            "left, %",
            "removed, %",
        ),
        rows,
    )


def phantoms(found: Found) -> ResultTable | None:
    """By body part, thickness and field of view, where the truth is known."""
    rows = []
    for source in TORSOS:
        for kernel in ("smooth", "sharp"):
            cells: list[float | None] = []
            low = found.row(source, kernel, 0.25, INPUT, 0.0)
            own = found.row(source, kernel, 0.25, found.name, found.strength)
            if low is None or own is None:
                continue
            cells += [round(low["rmse_soft"], 1), round(own["rmse_soft"], 1)]
            for method, strength in (
                (found.name, found.strength),
                (found.name, 1.0),
                ("nlm", 1.0),
                ("tv", 1.0),
            ):
                row = found.row(source, kernel, 0.25, method, strength)
                cells.append(None if row is None else round(found.gain(row), 2))
            cells.append(rounded(own["bias_soft"], 2))
            rows.append((WORDS[source], kernel, *cells))
    return found.table(
        "Exact truth: torsos by body part, slice thickness and field of view, a quarter of the "
        "dose",
        "Gains of the PSNR (-160 to 240 HU), dB, against the image without noise. Anatomies that "
        "took no part in any training; 3 mm slices and a field of 380 mm unless stated.",
        (
            "phantom",
            "kernel",
            "RMSE in soft tissue, HU",
            f"{found.name}, RMSE",
            f"{found.name}, gain",
            f"{found.name} at 1, gain",
            "nlm, gain",
            "tv, gain",
            f"{found.name}, bias in soft tissue, HU",
        ),
        rows,
    )
