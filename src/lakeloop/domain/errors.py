"""Every failure a user can meet, with the exit code that scripts see."""


class LakeloopError(Exception):
    """Something went wrong: what, where, and what to do about it.

    Args:
        problem: what is wrong, one sentence.
        where: the place: a file and key, a table, a URL, a step.
        fix: what to do next, one sentence.
    """

    exit_code = 1

    def __init__(self, problem: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(problem)
        self.problem, self.where, self.fix = problem, where, fix

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" -> {self.fix}" if self.fix else ""
        return f"{place}{self.problem}{advice}"


class UserError(LakeloopError):
    """The input is wrong: nothing was written, a retry of the same input cannot help."""

    exit_code = 2


class ConflictError(LakeloopError):
    """Another writer was first: the state that this decision rested on has changed."""

    exit_code = 3


class RefusedError(LakeloopError):
    """Going on would risk a silent wrong model; the reason is recorded."""

    exit_code = 4


class ServiceAwayError(LakeloopError):
    """A service does not answer now; the same call may be made again later."""
