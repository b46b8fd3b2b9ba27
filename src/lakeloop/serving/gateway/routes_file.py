"""The routes file, read again when it was replaced."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from lakeloop.domain.routes import Routes


class RoutesFile:
    """The last good content of the file; an unreadable one is told in `problem` and changes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._routes = Routes()
        self.problem = ""

    @property
    def ready(self) -> bool:
        """Whether the file could be read at least once."""
        return self.current() is not None and self._seen is not None

    def current(self) -> Routes:
        """Routes as of now; costs one stat of the file."""
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                self._routes = Routes.model_validate_json(self._path.read_bytes())
                self._seen, self.problem = seen, ""
        except (OSError, ValidationError) as error:
            self.problem = str(error)
        return self._routes
