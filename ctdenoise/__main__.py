"""`python -m ctdenoise` is the command line."""

from ctdenoise.cli.app import main

main()
