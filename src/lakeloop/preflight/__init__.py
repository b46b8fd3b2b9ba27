"""What can be known to be wrong with a use case before anything is submitted or written."""

from lakeloop.preflight.checks import check_use_case

__all__ = ["check_use_case"]
