"""The conditions that the KFP compiler writes, read strictly and decided without surprises.

Grammar (a small part of CEL, the whole of what the compiler emits)::

    either     := all ('||' all)*
    all        := unary ('&&' unary)*
    unary      := '!' unary | '(' either ')' | comparison
    comparison := operand (== | != | < | <= | > | >=) operand
    operand    := inputs.parameter_values['NAME'] | int(operand) | double(operand)
                | number | 'text' | true | false

Whatever else appears is refused: a condition that cannot be read must never count as false.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_TOKEN = re.compile(
    r"\s*(?:(?P<input>inputs\.parameter_values\[(?:'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")\])"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<word>[A-Za-z_]+)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|<|>|!|\(|\)))"
)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ESCAPES: Final = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t", "r": "\r"}


class ConditionError(ValueError):
    """The condition is outside the grammar, or cannot be decided with the given values."""


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a parsed condition: an operation, its operands, and a literal or a name."""

    kind: str
    operands: tuple[Node, ...] = ()
    value: Any = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition and the text it came from."""

    text: str
    root: Node

    def input_names(self) -> frozenset[str]:
        """Names of the task inputs that the condition reads."""
        return frozenset(node.value for node in _walk(self.root) if node.kind == "input")

    def holds(self, parameters: Mapping[str, Any]) -> bool:
        """Decide the condition.

        Raises:
            ConditionError: an input has no value, or operands of different types are compared.
        """
        return bool(_evaluate(self.root, parameters))


def parse_condition(text: str) -> Condition:
    """Parse a trigger condition.

    Raises:
        ConditionError: the text is outside the grammar.
    """
    parser = _Parser(tuple(_tokens(text)), text)
    root = parser.either()
    parser.end()
    return Condition(text, root)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for operand in node.operands:
        yield from _walk(operand)


def _tokens(text: str) -> Iterator[tuple[str, Any]]:
    position, stripped = 0, text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise ConditionError(f"cannot read {stripped[position:]!r} in condition {text!r}")
        position = match.end()
        yield _token(match)


def _token(match: re.Match[str]) -> tuple[str, Any]:
    kind = str(match.lastgroup) if match.lastgroup not in {"single", "double"} else "input"
    if match.group("input"):
        return "input", match.group("single") if match.group("single") is not None else match.group("double")
    raw = match.group(kind)
    if kind == "number":
        return kind, int(raw) if raw.lstrip("-").isdigit() else float(raw)
    if kind == "text":
        return kind, _unescape(raw[1:-1])
    return kind, raw


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match.group(1) not in _ESCAPES:
            raise ConditionError(f"unknown escape \\{match.group(1)} in text {text!r}")
        return _ESCAPES[match.group(1)]

    return re.sub(r"\\(.)", one, text)


class _Parser:
    def __init__(self, tokens: tuple[tuple[str, Any], ...], text: str) -> None:
        self._tokens, self._text, self._position = tokens, text, 0

    def _peek(self) -> tuple[str, Any]:
        return self._tokens[self._position] if self._position < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, Any]:
        token = self._peek()
        self._position += 1
        return token

    def _take(self, sign: str) -> bool:
        if self._peek() == ("sign", sign):
            self._position += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._error(f"expected {sign!r}")

    def _error(self, problem: str) -> ConditionError:
        return ConditionError(f"{problem} at {self._peek()[1]!r} in condition {self._text!r}")

    def end(self) -> None:
        if self._position < len(self._tokens):
            raise self._error("expected the end")

    def either(self) -> Node:
        return self._chain("||", self.all)

    def all(self) -> Node:
        return self._chain("&&", self.unary)

    def _chain(self, sign: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._take(sign):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Node(sign, tuple(parts))

    def unary(self) -> Node:
        if self._take("!"):
            return Node("!", (self.unary(),))
        if self._take("("):
            inner = self.either()
            self._expect(")")
            return inner
        return self.comparison()

    def comparison(self) -> Node:
        left = self.operand()
        kind, sign = self._peek()
        if kind != "sign" or sign not in _COMPARE:
            raise self._error("expected a comparison")
        self._next()
        return Node(sign, (left, self.operand()))

    def operand(self) -> Node:
        kind, value = self._next()
        if kind == "input":
            return Node("input", value=value)
        if kind in {"number", "text"}:
            return Node("literal", value=value)
        if kind == "word" and value in {"true", "false"}:
            return Node("literal", value=value == "true")
        if kind == "word" and value in {"int", "double"}:
            return self._call(value)
        self._position -= 1
        raise self._error("expected an input, a number, a text or a boolean")

    def _call(self, function: str) -> Node:
        self._expect("(")
        inner = self.operand()
        self._expect(")")
        return Node(function, (inner,))


def _evaluate(node: Node, parameters: Mapping[str, Any]) -> Any:
    if node.kind == "literal":
        return node.value
    if node.kind == "input":
        return _input(node.value, parameters)
    if node.kind in {"&&", "||"}:
        gather = all if node.kind == "&&" else any
        return gather(_evaluate(part, parameters) for part in node.operands)
    values = [_evaluate(part, parameters) for part in node.operands]
    if node.kind == "!":
        return not values[0]
    if node.kind in {"int", "double"}:
        return _convert(node.kind, values[0])
    return _compare(node.kind, values[0], values[1])


def _input(name: str, parameters: Mapping[str, Any]) -> Any:
    if parameters.get(name) is None:
        raise ConditionError(f"input {name!r} has no value")
    return parameters[name]


def _convert(function: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ConditionError(f"{function}() of {value!r} is not a number")
    try:
        return int(value) if function == "int" else float(value)
    except ValueError:
        raise ConditionError(f"{function}() of {value!r} is not a number") from None


def _compare(sign: str, left: Any, right: Any) -> bool:
    if _family(left) != _family(right):
        raise ConditionError(f"cannot compare {left!r} with {right!r}: they differ in type")
    if isinstance(left, (list, dict)):
        raise ConditionError(f"cannot compare {left!r}: only texts, numbers and booleans compare")
    return _COMPARE[sign](left, right)


def _family(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, (int, float)) else type(value).__name__
