"""Checking the plan of a built bundle for what the engine accepts and Open Policy Agent refuses.

The engine leaves a rule undefined that calls a function which does not exist or uses a variable without a value: a
misspelt `deny` would never deny. The plan is in Open Policy Agent's intermediate representation (IR).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from domain.gates.rego import ALLOW, DENY, Module, Rule
from integrations.opa.syntax import package_of

Plan = Mapping[str, Any]

NOT_REPEATABLE = frozenset({"opa.runtime", "rand.intn", "time.now_ns", "uuid.rfc4122", "io.jwt.decode_verify"})
"""Functions whose result depends on more than their arguments: a decision could not be repeated."""
WRONG = frozenset({"max", "min", "sort", "semver.compare"})
"""Functions that the engine implements wrongly: 9 is more than 10 for it, and every version less than any other."""
MAX_FAULTS = 10

_GIVEN = 2
"""Parameters of every function of a plan before its own: the input and the data."""


class _Statement(NamedTuple):
    kind: str
    content: Mapping[str, Any]
    place: str


def faults_of(plan: Plan, modules: Sequence[Module], available: Callable[[str], bool]) -> list[str]:
    """Return what is wrong with a plan, the first faults only. `available` tells the built-in functions there are."""
    functions = plan["funcs"]["funcs"]
    arities = {one["name"]: len(one["params"]) for one in functions}
    built_in = {one["name"]: len(one["decl"]["args"]) for one in plan["static"].get("builtin_funcs", ())}
    calls: dict[str, list[str]] = {}
    faults: list[str] = []
    for function in functions:
        statements = list(_statements(function["blocks"], _Places(plan, modules)))
        made = [one for one in statements if one.kind == "CallStmt"]
        calls[function["name"]] = [one.content["func"] for one in made]
        faults += [fault for one in made if (fault := _fault_of_call(one, arities, built_in, available))]
        faults += _without_value(function["params"], statements)
    faults += [f"{name.removeprefix('g0.')} depends on itself" for name in _recursive(calls)]
    return list(dict.fromkeys(faults))[:MAX_FAULTS]


def rules_of(plan: Plan, modules: Sequence[Module]) -> list[Rule]:
    """Return the rules that decide: `allow` and `deny` of every package of the bundle that has them."""
    defined = [tuple(one["path"][1:]) for one in plan["funcs"]["funcs"] if len(one["params"]) == _GIVEN]
    packages = dict.fromkeys(package_of(module.text) for module in modules)
    return [
        Rule(package, name)
        for package in packages
        for name in (ALLOW, DENY)
        if any(path[: len(package) + 1] == (*package, name) for path in defined)
    ]


def hidden_rules(plan: Plan, data: Mapping[str, Any]) -> list[str]:
    """Return the rules in whose place the data document has a value, which the engine would take instead."""
    paths = [one["path"][1:] for one in plan["funcs"]["funcs"]]
    return [".".join(("data", *path)) for path in paths if _has(data, path)][:MAX_FAULTS]


def _has(value: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(value, Mapping):
            return True
        if part not in value:
            return False
        value = value[part]
    return True


class _Places:
    """The place of each statement: its own, else that of the last one before it."""

    def __init__(self, plan: Plan, modules: Sequence[Module]) -> None:
        self._files = [one["value"] for one in plan["static"]["files"]]
        self._modules = modules
        self._last = ""

    def of(self, content: Mapping[str, Any]) -> str:
        if "file" in content:
            module = self._modules[int(self._files[content["file"]])]
            self._last = f"{module.path}:{content['row'] + 1}"
        return self._last


def _statements(blocks: Sequence[Mapping[str, Any]], places: _Places) -> Iterator[_Statement]:
    for block in blocks:
        for one in block["stmts"]:
            content = one["stmt"]
            yield _Statement(one["type"], content, places.of(content))
            inner = [content["block"]] if "block" in content else content.get("blocks", ())
            yield from _statements(inner, places)


def _fault_of_call(
    call: _Statement, arities: Mapping[str, int], built_in: Mapping[str, int], available: Callable[[str], bool]
) -> str | None:
    function, given = call.content["func"], len(call.content["args"])
    shown = function.removeprefix("g0.").removeprefix("internal.")
    if function in arities:
        fits = given == arities[function]
        return None if fits else f"{call.place}: {shown} takes {arities[function] - _GIVEN} arguments"
    if function in NOT_REPEATABLE:
        return f"{call.place}: {shown} is refused: its result would not be the same another time"
    if function in WRONG:
        return f"{call.place}: {shown} is refused: this engine compares numbers in it as if they were texts"
    if function not in built_in:
        return f"{call.place}: there is no function {shown}"
    if not available(function):
        return f"{call.place}: {shown} is refused: it is not available to policies"
    return None if given == built_in[function] else f"{call.place}: {shown} takes {built_in[function]} arguments"


def _without_value(parameters: Sequence[int], statements: Sequence[_Statement]) -> Iterator[str]:
    """Find the variables that a function reads and nothing sets. Plans have numbers in place of their names."""
    given = set(parameters) | {number for one in statements for number in _set_by(one)}
    for one in statements:
        if not given.issuperset(_read_by(one)):
            yield f"{one.place}: a variable has no value; it may be misspelt"


def _set_by(statement: _Statement) -> list[int]:
    names = ("target", "result", "key", "value") if statement.kind == "ScanStmt" else ("target", "result")
    return [value for name in names if isinstance(value := statement.content.get(name), int)]


def _read_by(statement: _Statement) -> list[int]:
    content = statement.content
    operands = [*content.get("args", ()), *(value for value in content.values() if isinstance(value, Mapping))]
    read = [one["value"] for one in operands if one.get("type") == "local"]
    source = content.get("source")
    return [*read, source] if isinstance(source, int) else read


def _recursive(calls: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the functions from which calls lead back to themselves."""
    found = []
    for start in calls:
        seen: set[str] = set()
        left = list(calls[start])
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += calls.get(name, ())
        if start in seen:
            found.append(start)
    return found
