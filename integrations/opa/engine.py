"""The Rego engine, rego-cpp: building a bundle, evaluating its rules, and what it says about faults.

It is native code that policies can crash: it is used in processes made for it alone.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regopy import Interpreter, LogLevel, NodeKind, RegoError  # type: ignore[import-untyped]
from regopy.rego_shared import (  # type: ignore[import-untyped]
    rego_bundle_query,
    rego_free_output,
    rego_node_get,
    rego_node_size,
    rego_node_type,
    rego_node_value,
    rego_output_node,
    rego_output_ok,
    rego_output_string,
)

from domain.gates.rego import Module, Rule
from integrations.opa.syntax import with_sets

NO_RESULT = "It has no result"
MAX_FAULT = 300
"""Characters of one message of the engine."""
_HINTS = {
    "Invalid bracket argument": "give the element a name first, as in `x := input.list[_]` or `some x in input.list`"
}
"""What to do about messages that do not say it."""
_ERROR = re.compile(r"\(error \d+:(?P<module>\d+)\|(?P<offset>\d+)\|\d+\s*\(errormsg (?P<length>\d+):")
_MESSAGE = re.compile(r"\(errormsg (?P<length>\d+):")


class RegoFault(Exception):  # noqa: N818 - reads as an outcome
    """The engine refuses a bundle, or fails to evaluate it. The message is for people."""


class Policy:
    """A built bundle."""

    def __init__(self, modules: Sequence[Module], data: Mapping[str, Any], rules: Sequence[Rule]) -> None:
        """Build it. Raises RegoFault."""
        self._rules = rules
        # A comment needs the end of its line: without it, the engine takes no keyword of the module for one.
        self._modules = [Module(module.path, with_sets(module.text) + "\n") for module in modules]
        self._interpreter = Interpreter()
        self._interpreter.log_level = LogLevel.NONE
        self._interpreter.strict_built_in_errors = True  # otherwise they would only make a rule undefined
        with self._faults_located():
            for n, module in enumerate(self._modules):
                self._interpreter.add_module(str(n), module.text)  # not by its path: `plan` writes a file of this name
            if data:
                # As the input is written: for the engine, an escape is not the character that it stands for.
                self._interpreter.add_data_json(json.dumps(data, ensure_ascii=False))
            self._built = self._interpreter.build(_query(rules))

    def plan(self, directory: Path) -> Any:
        """Return the plan, which the engine only gives as a file in a directory. Raises RegoFault."""
        with self._faults_located():
            self._interpreter.save_bundle(str(directory), self._built)
        return json.loads((directory / "plan.json").read_bytes())

    def has_function(self, name: str) -> bool:
        """Whether there is a built-in function, and the engine implements it."""
        return bool(self._interpreter.is_builtin(name))

    def values(self, text: str) -> dict[Rule, Any]:
        """Evaluate the rules for an input in JSON; one that is undefined has no value. Raises RegoFault."""
        try:
            self._interpreter.set_input_term(text)
            found = self._found()
        except RegoError as error:
            raise RegoFault(_message(str(error))) from None
        return {rule: values[0] for rule, values in zip(self._rules, found, strict=True) if values}

    @contextmanager
    def _faults_located(self) -> Iterator[None]:
        try:
            yield
        except RegoError as error:
            raise RegoFault(_located(str(error), self._modules)) from None

    def _found(self) -> list[list[Any]]:
        output = rego_bundle_query(self._interpreter._impl, self._built._impl)  # noqa: SLF001
        try:
            if not rego_output_ok(output):
                raise RegoFault("; ".join(dict.fromkeys(_messages(rego_output_node(output)))) or NO_RESULT)
            text = rego_output_string(output)
        finally:
            rego_free_output(output)
        if not text.startswith("{"):
            raise RegoFault(_message(text))
        [found] = json.loads(text, strict=False)["expressions"]  # the engine writes control characters as they are
        values: list[list[Any]] = found
        return values


def _query(rules: Sequence[Rule]) -> str:
    """Return a query for the values of all rules at once, so that what several of them need is evaluated once.

    The value of an undefined rule is an empty array, that of any other an array with one element.
    """
    places = ("".join(f"[{json.dumps(part)}]" for part in (*rule.package, rule.name)) for rule in rules)
    return f"[{', '.join(f'[v | v := data{place}]' for place in places)}]"


def _messages(node: Any) -> Iterator[str]:
    if rego_node_type(node) == NodeKind.ErrorMessage:
        yield rego_node_value(node)[:MAX_FAULT]
    for n in range(rego_node_size(node)):
        yield from _messages(rego_node_get(node, n))


def _message(text: str) -> str:
    """Return the first message in an error that the engine writes as a tree."""
    found = _MESSAGE.search(text)
    return _said(text[found.end() :], int(found["length"])) if found else NO_RESULT


def _located(text: str, modules: Sequence[Module]) -> str:
    """Return the messages in an error about modules, each with its place, as `path:line:column: message`."""
    found = [
        f"{_place(modules[int(one['module'])], int(one['offset']))}: {_said(text[one.end() :], int(one['length']))}"
        for one in _ERROR.finditer(text)
    ]
    return "; ".join(dict.fromkeys(found)) or _message(text)


def _place(module: Module, offset: int) -> str:
    """Return a place in a module as people write it. The offset is in bytes."""
    lines = module.text.encode()[:offset].decode(errors="ignore").split("\n")
    return f"{module.path}:{len(lines)}:{len(lines[-1]) + 1}"


def _said(text: str, length: int) -> str:
    message = text[: min(length, MAX_FAULT)]
    return f"{message}; {_HINTS[message]}" if message in _HINTS else message
