"""Reading studies and writing results: the only place that knows DICOM and NIfTI."""
