"""A first use case for a table that nobody has declared yet."""

from lakeloop.drafting.choices import Choices, Wishes, choose
from lakeloop.drafting.text import use_case_text

__all__ = ["Choices", "Wishes", "choose", "use_case_text"]
