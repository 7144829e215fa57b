"""What a header says of a series, and how it came here: what rules of a server look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ctdenoise.core.acquisition import Acquisition

ArrivedBy = Literal["dimse", "folder", "orthanc"]
"""How a study came: sent over the network, laid into a folder, or fetched from an archive."""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """Facts of one series that a rule may ask for; a text that a header does not say is empty.

    Args:
        what: "CT", "scout", "dose report", ...
        slices: How many it has.
        plane: "axial", "coronal", "sagittal"; empty where the grid is not known.
        acquisition: How it was scanned and reconstructed.
        modality: Modality.
        protocol: ProtocolName.
        study_description, series_description: As the header says.
        image_type: Values of ImageType, joined by slashes.
        sender: Application entity title of who sent it.
        arrived_by: How it came.
        made_by_us: Why it is known to be made by this program; empty where it is not.
    """

    what: str
    slices: int
    plane: str = ""
    acquisition: Acquisition = field(default_factory=Acquisition)
    modality: str = ""
    protocol: str = ""
    study_description: str = ""
    series_description: str = ""
    image_type: str = ""
    sender: str = ""
    arrived_by: ArrivedBy = "dimse"
    made_by_us: str = ""
