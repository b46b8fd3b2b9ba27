"""`python -m lakeloop.cli`, the same as `lakeloop`."""

from lakeloop.cli import main

if __name__ == "__main__":
    main()
