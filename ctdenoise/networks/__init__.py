"""The denoising networks and their checkpoints."""
