"""From pairs on disk to a checkpoint."""
