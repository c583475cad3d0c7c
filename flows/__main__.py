"""`python -m flows` is the command `narrate`."""

from flows.cli import main

main()
