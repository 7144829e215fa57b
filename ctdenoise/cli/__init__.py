"""The command line: parse, call the task, print."""
