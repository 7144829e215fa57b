"""From a volume to a denoised volume."""
