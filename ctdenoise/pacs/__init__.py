"""DICOM over the network: asking, sending, receiving. pynetdicom and dicomweb-client live here."""
