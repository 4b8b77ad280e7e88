"""`python -m cli` is `hotspot`."""

from cli.main import main

main()
