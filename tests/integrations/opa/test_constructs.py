"""What policies say, construct by construct. Each case is a module, an input, and the values of `allow` and `deny`."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from domain.canonical import canonical_json
from domain.gates.opa import Bundle
from domain.gates.rego import Module, Rule, Source
from integrations.opa.compiler import compiled
from integrations.opa.evaluators import Evaluators

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALLOW, DENY = Rule(("a",), "allow"), Rule(("a",), "deny")
UNDEFINED = object()
ANY_TEXT = '\0\u2028"\\ {x} ${y} \x01😀'
V1 = "package a\nimport rego.v1\n"
V0 = "package a\n"

CASES: dict[str, tuple[str, dict[str, Any], Any, Any]] = {
    "default with :=": (V1 + "default allow := false\nallow if input.ok", {}, False, UNDEFINED),
    "default with =": (V0 + "default allow = false\nallow { input.ok }", {"ok": True}, True, UNDEFINED),
    "a comment at the end": (V1 + "allow if input.ok # yes", {"ok": True}, True, UNDEFINED),
    "no default": (V1 + "allow if input.ok", {}, UNDEFINED, UNDEFINED),
    "deny contains": (V1 + 'deny contains msg if { input.n > 1; msg := "many" }', {"n": 2}, UNDEFINED, ["many"]),
    "deny of old": (V0 + 'deny[msg] { input.n > 1; msg := "many" }', {"n": 2}, UNDEFINED, ["many"]),
    "deny of nothing": (V0 + 'deny[msg] { input.n > 1; msg := "many" }', {"n": 1}, UNDEFINED, []),
    "a fact of old": (V0 + 'deny["always"]', {}, UNDEFINED, ["always"]),
    "conditions on one line": (V0 + "allow { input.a == 1; input.b == 2 }", {"a": 1, "b": 3}, UNDEFINED, UNDEFINED),
    "inner braces": (V0 + 'allow { {"x": 1} == input.o; input.ok }', {"o": {"x": 1}}, UNDEFINED, UNDEFINED),
    "another rule whose name ends alike": (V0 + "disallow { true }", {}, UNDEFINED, UNDEFINED),
    "iteration": (V0 + 'allow { input.l[_].type == "X" }', {"l": [{"type": "Y"}]}, UNDEFINED, UNDEFINED),
    "iteration that finds": (V0 + 'allow { input.l[_].type == "X" }', {"l": [{"type": "X"}]}, True, UNDEFINED),
    "no element": (V0 + 'allow { not input.l[_] == "b" }', {"l": ["a", "b"]}, UNDEFINED, UNDEFINED),
    "some in": (V1 + 'allow if { some x in input.l; startswith(x, "a") }', {"l": ["ba", "ab"]}, True, UNDEFINED),
    "every": (V1 + "allow if { every x in input.l { x > 0 } }", {"l": [1, 0]}, UNDEFINED, UNDEFINED),
    "not": (V1 + "allow if not input.q", {}, True, UNDEFINED),
    "undefined is not different": (V1 + "deny if input.q != 1", {}, UNDEFINED, UNDEFINED),
    "count": (V1 + "allow if count(input.l) >= 2", {"l": [1, 2]}, True, UNDEFINED),
    "numbers": (V1 + "allow if { input.n > 7.4; input.n <= 7.5 }", {"n": 7.5}, True, UNDEFINED),
    "large numbers": (V1 + "allow := input.n", {"n": 10**30}, 10**30, UNDEFINED),
    "strings": (V1 + 'allow if input.s == "main"', {"s": "main"}, True, UNDEFINED),
    "any text": (V1 + "deny := input.s", {"s": ANY_TEXT}, UNDEFINED, ANY_TEXT),
    "sprintf": (V1 + 'deny contains sprintf("%s: %d", [input.s, 3])', {"s": "x"}, UNDEFINED, ["x: 3"]),
    "else": (V1 + "allow := true if { input.q } else := false", {}, False, UNDEFINED),
    "functions": (V1 + "allow if high(input.n)\nhigh(n) if n > 3", {"n": 4}, True, UNDEFINED),
    "a set of old is a set": (
        V0 + 'seen[t] { t := input.l[_] }\ndeny[m] { m := seen[_] }\nallow { seen["k"]; count(seen - {"k"}) == 1 }',
        {"l": ["k", "w"]},
        True,
        ["k", "w"],
    ),
    "an object of old is an object": (V0 + "deny[k] = v { v := input.o[k] }", {"o": {"k": 1}}, UNDEFINED, {"k": 1}),
    "comprehensions": (V1 + "allow if count({x | some x in input.l}) == 1", {"l": [1, 1]}, True, UNDEFINED),
    "with": (V1 + 'allow if ok with input as {"n": 2}\nok if input.n == 2', {}, True, UNDEFINED),
    "non-text messages": (V1 + 'deny contains {"m": [1, true]}', {}, UNDEFINED, [{"m": [1, True]}]),
    "data": (V1 + "allow if input.n < data.limits.n", {"n": 2}, True, UNDEFINED),
    "another module": (V1 + "import data.lib.names\nallow if names.good(input.s)", {"s": "x"}, True, UNDEFINED),
}  # fmt: skip
LIBRARY = Module("lib.rego", 'package lib.names\ngood(s) { s == "x" }')
FAILING = {
    "two values": V1 + "allow := 1 if true\nallow := 2 if true",
    "division by zero": V1 + "allow if 1 / input.zero == 1",
    "a wrong type": V1 + 'deny contains 1 if startswith(input.zero, "x")',
}
DATA = {"limits": {"n": 3}}


def bundle_of(*modules: Module, rules: tuple[Rule, ...] = (ALLOW, DENY), data: dict[str, Any] | None = None) -> Bundle:
    now, source = datetime.now(UTC), Source(modules, data or {})
    return Bundle(
        id=UUID(int=1), org_id=UUID(int=2), name="release", bundle_version="1.0.0", source=source, rules=rules,
        sha256=source.sha256, activated_at=now, version=1, created_at=now, updated_at=now,
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evaluators() -> AsyncIterator[Evaluators]:
    made = Evaluators()
    yield made
    await made.close()


@pytest.mark.parametrize("case", CASES)
async def test_construct(evaluators: Evaluators, case: str) -> None:
    text, given, allow, deny = CASES[case]
    evaluation = await evaluators.evaluate(
        bundle_of(Module("m.rego", text), LIBRARY, data=DATA), canonical_json(given).decode()
    )
    assert evaluation.failure is None
    expected = {rule: value for rule, value in ((ALLOW, allow), (DENY, deny)) if value is not UNDEFINED}
    assert evaluation.values == expected


async def test_a_package_may_have_any_name(evaluators: Evaluators) -> None:
    rule = Rule(("a", "b-c/d"), "allow")
    module = Module("m.rego", 'package a["b-c/d"]\nallow = true')
    assert await compiled(Source((module,))) == (rule,)
    assert (await evaluators.evaluate(bundle_of(module, rules=(rule,)), "{}")).values == {rule: True}


async def test_the_compiler_takes_all_of_them() -> None:
    modules = [
        Module(f"{n}.rego", text.replace("package a", f"package a{n}")) for n, (text, *_) in enumerate(CASES.values())
    ]
    rules = await compiled(Source((*modules, LIBRARY), DATA))
    assert Rule(("a0",), "allow") in rules
    assert Rule(("lib", "names"), "allow") not in rules


@pytest.mark.parametrize("case", FAILING)
async def test_errors_at_run_time_are_failures(evaluators: Evaluators, case: str) -> None:
    evaluation = await evaluators.evaluate(bundle_of(Module("m.rego", FAILING[case])), '{"zero":0}')
    assert evaluation.failure
