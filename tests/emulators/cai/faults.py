"""Faults to inject: into which call, of which kind, before or after its effect, how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "timeout", "cut", "malformed"]
GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14}
GATEWAY_TIMEOUT = (
    "failed to forward request to web service: Post http://web/deploy-model: context deadline exceeded"
)


@dataclass
class Fault:
    """One fault.

    Attributes:
        operation: operationId of the description, or `Predict` for the model service.
        status: of the answer, for kind `status`.
        effect: whether the call's work is done nevertheless.
        times: how many calls of the operation it strikes; -1 for all.
        skip: how many calls pass before.
    """

    operation: str
    kind: Kind = "status"
    status: int = 500
    effect: bool = False
    times: int = 1
    skip: int = 0
    message: str = "injected fault"

    def strikes(self) -> bool:
        """Count one call; whether this one is struck."""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times == 0:
            return False
        self.times -= 1 if self.times > 0 else 0
        return True


def gateway_timeout(operation: str = "CreateModelDeployment") -> Fault:
    """After 30 seconds the gateway gives up; what it was asked for is made all the same."""
    return Fault(operation, status=500, effect=True, message=GATEWAY_TIMEOUT)


@dataclass
class Faults:
    """All that are set; each call is asked of the first that fits."""

    set: list[Fault] = field(default_factory=list)
    struck: list[Fault] = field(default_factory=list)

    def of(self, operation: str) -> Fault | None:
        """The fault that strikes this call."""
        for fault in self.set:
            if fault.operation == operation and fault.strikes():
                self.struck.append(fault)
                return fault
        return None
