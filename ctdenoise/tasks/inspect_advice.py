"""What one can do about a problem or a finding of `ctdenoise inspect`."""

from __future__ import annotations

ADVICE = {
    "lossy-compression": "Get the series without loss: noise and texture were changed before.",
    "no-series-uid": "Check that the folder holds one series only.",
    "no-sop-class": "Check that it is CT; export the series again if you can.",
    "no-rescale": "Check air (-1000) and water (0) with --contact-sheet before you use it.",
    "uneven-spacing": "Slices keep their positions; 3-D networks work inside each uniform run.",
    "missing-slices": "Export the series again, or take it as it is: a gap ends a run.",
    "in-plane-shift": "Write DICOM, which keeps every position; NIfTI cannot hold the shifts.",
    "files-missing": "Copy the whole medium again: slices may be missing.",
    "files-outside": "Copy the files into the folder of the DICOMDIR, or give their own folder.",
    "frame-of-reference-differs": "Nothing, if one scan made all slices; an anonymiser did this.",
    "copies-left-out": "Nothing: each slice is read once.",
    "orientation-guessed": "Left and right may be swapped: write a NIfTI with a qform or sform.",
    "sform-qform-disagree": "Check the orientation on a picture with --contact-sheet.",
    "scaled-values": "Turn the values back into Hounsfield units first (air is -1000).",
    "stored-values": "Apply the rescale first (air is -1000).",
    "unspecified-rescale": "Look at a picture with --contact-sheet: air must be -1000 HU.",
    "negative-slope": "Look at a picture with --contact-sheet: bone must be brighter than air.",
    "another-intercept": "Compare the slices on a picture with --contact-sheet.",
    "field-of-view": "Check PixelSpacing: distances and volumes depend on it.",
    "repeated-identity": "Have the series exported again; no DICOM can be derived from this one.",
    "no-image": "Choose the series it was made from; this one shows what was done to that.",
    "already-denoised": "Give the series that it was made from, or denoise twice knowingly.",
    "gantry-tilt": "DICOM keeps the tilt; NIfTI cannot hold it.",
}
"""By the code of a finding; what is not here needs nothing done."""

_PROBLEMS = (
    ("Modality is missing", "Give the folder of the original export, or set Modality to CT in it."),
    ("RescaleType is", "Choose the series of CT images; this one holds a computed map."),
    ("a picture made of", "Choose the series of CT images; this one holds finished pictures."),
    ("a computed map", "Choose the series of CT images; this one holds a computed map."),
    ("ImagePositionPatient", "Export the original axial images; screenshots have no positions."),
    ("ImageOrientationPatient", "Export the original axial images."),
    ("RescaleSlope", "Export the series again: without the rescale nothing gives its HU."),
    ("no decoder", "Have it exported uncompressed or with lossless compression."),
    ("truncated", "Copy or export the named files again."),
    ("are damaged", "Copy or export the named files again."),
    ("shorter than its header", "Copy or export the named files again."),
    ("no pixel data", "Export the images, not only their headers."),
    ("lie at the position of another", "Separate the phases or reconstructions into folders."),
    ("its slices belong to", "Give the folder of one patient and study."),
    ("its affine is sheared", "Resample it to an orthogonal grid first, or give the DICOM series."),
)


def about_problem(text: str) -> str:
    """What to do about a reason why a series cannot be read; empty where nothing can be.

    Args:
        text: The problem.
    """
    return next((advice for part, advice in _PROBLEMS if part in text), "")
