"""Use cases as files: found by name or path, read strictly, every problem named with its line."""

from lakeloop.use_case_files.loading import find_use_case, known_use_cases, load_use_case, use_case_folder

__all__ = ["find_use_case", "known_use_cases", "load_use_case", "use_case_folder"]
