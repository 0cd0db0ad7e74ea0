"""`python -m nbkit`, the same as the command `nbkit`."""

from nbkit.cli import main

main()
