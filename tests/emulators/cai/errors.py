"""The API's error answers (runtimeError)."""

from __future__ import annotations

from typing import Any

from tests.emulators.cai.faults import GRPC_CODES


class ApiError(Exception):
    """An answer with a status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message

    def body(self) -> dict[str, Any]:
        """runtimeError."""
        code = GRPC_CODES.get(self.status, 2)
        return {"error": self.message, "code": code, "message": self.message, "details": []}
