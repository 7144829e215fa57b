"""Objects whose truth is known exactly."""
