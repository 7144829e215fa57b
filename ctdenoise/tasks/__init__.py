"""One module for each command: settings in, report out, nothing printed."""
