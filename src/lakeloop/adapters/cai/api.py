"""API v2 with the rules that keep its effects single: read again, look before sending again, page to the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lakeloop.adapters.cai.calls import CONFLICT, NOT_FOUND, CallError, Calls
from lakeloop.adapters.cai.connection import Connection
from lakeloop.adapters.cai.patience import Patience, Tell
from lakeloop.domain.errors import LakeloopError

Item = dict[str, Any]
Look = Callable[[], Item | None]
READS, SENDS, PAGES = 5, 3, 1000


class Api:
    """What adapters of the workbench speak through; not for several threads at once."""

    def __init__(self, where: Connection, patience: Patience, tell: Tell) -> None:
        self.where, self.patience, self.tell = where, patience, tell
        self._calls = Calls(where, patience.call)

    @property
    def project_id(self) -> str:
        """The project that everything lies in."""
        return self.where.project_id

    def read(self, method: str, *arguments: Any, **query: Any) -> Item:
        """A read; what passes by itself is tried again, a few times.

        Raises:
            CallError: it does not pass.
        """
        for attempt in range(READS):
            self.patience.pause(attempt)
            try:
                return self._calls.once(method, *arguments, **query)
            except CallError as error:
                if not error.passing or attempt == READS - 1:
                    raise
                self.tell(f"{error.problem}; reading again")
        raise AssertionError

    def read_object(self, method: str, *arguments: Any, key: str = "id") -> Item:
        """A read of one object, which must have an id.

        Raises:
            CallError: it has none, or there is none.
        """
        return _with_id(method, self.read(method, *arguments), key)

    def pages(self, method: str, name: str, *arguments: Any, **query: str) -> list[Item]:
        """All items of a paged list, with the same filter and order on each page.

        Args:
            method: of cmlapi.
            name: key of the list in an answer.
            arguments: of the path.
            query: filter and order.

        Raises:
            CallError: a page cannot be read.
            LakeloopError: the list has no end.
        """
        found: list[Item] = []
        token, seen = "", set[str]()
        for _ in range(PAGES):
            answer = self.read(method, *arguments, **query, **({"page_token": token} if token else {}))
            found += [item for item in answer.get(name) or [] if isinstance(item, dict)]
            token = str(answer.get("next_page_token") or "")
            if not token:
                return found
            if token in seen:
                break
            seen.add(token)
        raise LakeloopError(f"{method}: the list has no end", where="Cloudera AI API v2", fix="run again")

    def create(
        self, method: str, message: str, fields: Item, *path: str, look: Look, key: str = "id"
    ) -> Item:
        """Make an object once: where the answer is lost, it is looked for before anything is sent again.

        Args:
            method: of cmlapi.
            message: class of the body.
            fields: of the body; None values are left out.
            path: arguments behind the body.
            look: finds the object if it is there.
            key: field that an answer must have.

        Raises:
            CallError: the workbench refuses, or it is not made after several attempts.
        """
        body = self._calls.message(message, fields)
        for attempt in range(SENDS):
            self.patience.pause(attempt)
            try:
                return _with_id(method, self._calls.once(method, body, *path), key)
            except CallError as error:
                found = self._look(error, look) if error.unsure else None
                if found is not None:
                    self.tell(f"{method}: the answer was lost, what it made is there")
                    return found
                if error.status == CONFLICT or not error.passing or attempt == SENDS - 1:
                    raise
                self.tell(f"{error.problem}; nothing was made, sending again")
        raise AssertionError

    def change(self, method: str, *path: Any, done: Callable[[], bool]) -> None:
        """Stop or remove something; where the answer is lost, whether it is done is looked for first.

        Raises:
            CallError: the workbench refuses, or it is not done after several attempts.
        """
        for attempt in range(SENDS):
            self.patience.pause(attempt)
            try:
                self._calls.once(method, *path)
            except CallError as error:
                if error.status == NOT_FOUND or (error.unsure and done()):
                    return
                if not error.passing or attempt == SENDS - 1:
                    raise
                self.tell(f"{error.problem}; sending again")
            else:
                return

    def update(self, method: str, message: str, fields: Item, *path: str) -> None:
        """Set fields; the same again changes nothing, so that a lost answer is simply asked for again.

        Raises:
            CallError: the workbench refuses, or does not answer after several attempts.
        """
        body = self._calls.message(message, fields)
        for attempt in range(SENDS):
            self.patience.pause(attempt)
            try:
                self._calls.once(method, body, *path)
            except CallError as error:
                if not error.passing or attempt == SENDS - 1:
                    raise
                self.tell(f"{error.problem}; sending again")
            else:
                return

    def _look(self, error: CallError, look: Look) -> Item | None:
        limit = self.patience.long_look if error.gave_up else self.patience.look
        for _ in self.patience.looks(limit):
            found = look()
            if found is not None:
                return found
        return None


def search(**wanted: str) -> str:
    """A search_filter; the workbench matches substrings, so its answers are compared again."""
    return json.dumps(wanted)


def _with_id(method: str, item: Item, key: str) -> Item:
    if not item.get(key):
        raise CallError(method, f"the answer has no {key}")
    return item
