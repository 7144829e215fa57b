"""Settings: frozen trees read from YAML, checked before any work starts."""
