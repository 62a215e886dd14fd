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
    "a common index": (
        V1 + "deny contains i if { some i; input.l[i] == 2; input.m[i] == 3 }",
        {"l": [1, 2], "m": [0, 3]}, UNDEFINED, [1]
    ),
    "the rest of a set": (
        V0 + 'deny[m] { seen := {t | t := input.l[_].type}; rest := {"a", "b"} - seen; m := rest[_] }',
        {"l": [{"type": "a"}]}, UNDEFINED, ["b"],
    ),
    "some in every": (
        V1 + "allow if { every a in input.l { some b in input.m; a == b } }",
        {"l": [1, 2], "m": [1]}, UNDEFINED, UNDEFINED
    ),
    "not in": (
        V1 + 'deny contains x.t if { some x in input.l; not x.t in {"a"} }',
        {"l": [{"t": "a"}, {"t": "c"}]}, UNDEFINED, ["c"]
    ),
    "keys": (V0 + "deny[k] { input.o[k] > 2 }", {"o": {"x": 1, "y": 3}}, UNDEFINED, ["y"]),
    "odd keys": (V1 + 'deny contains input["x-y"]', {"x-y": "q"}, UNDEFINED, ["q"]),
    "several bodies": (
        V0 + 'bad(x) { x == "FAILED" }\nbad(x) { x == "ERROR" }\nallow { not bad(input.s) }',
        {"s": "ERROR"}, UNDEFINED, UNDEFINED
    ),
    "sets of objects": (
        V0 + 'violation[{"m": m}] { m := input.s }\ndeny[m] { violation[v]; m := v.m }', {"s": "q"}, UNDEFINED, ["q"]
    ),
    "walk": (
        V1 + 'deny contains concat("/", p) if { walk(input, [p, v]); v == 1 }', {"a": {"b": 1}}, UNDEFINED, ["a/b"]
    ),
    "patterns": (
        V1 + 'allow if { regex.match(`^v\\d+$`, input.v); glob.match("v*", [], input.v) }', {"v": "v1"}, True, UNDEFINED
    ),
    "times": (
        V1 + "allow if time.parse_rfc3339_ns(input.t) > 0", {"t": "2026-01-01T00:00:00+00:00"}, True, UNDEFINED
    ),
    "data": (V1 + "allow if input.n < data.limits.n", {"n": 2}, True, UNDEFINED),
    "data beyond ASCII": (
        V1 + 'deny contains "a name" if input.s in data.names\ndeny contains "a key" if data.owners[input.s]',
        {"s": "café 😀"}, UNDEFINED, ["a key", "a name"],
    ),
    "another module": (V1 + "import data.lib.names\nallow if names.good(input.s)", {"s": "x"}, True, UNDEFINED),
}  # fmt: skip
FUNCTIONS = {
    "sum([1.5, 2])": 3.5,
    "product([2, 3])": 6,
    "ceil(1.2)": 2,
    "array.slice([1, 2, 3], 1, 3)": [2, 3],
    'indexof("abc", "c")': 2,
    'replace("aba", "a", "c")': "cbc",
    'split("a,b", ",")': ["a", "b"],
    'substring("hello", 1, 3)': "ell",
    'trim_prefix("xa", "x")': "a",
    "format_int(255, 16)": "ff",
    'regex.find_n("a.", "abac", -1)': ["ab", "ac"],
    'json.unmarshal("[1]")': [1],
    'base64.decode("YQ==")': "a",
    'object.get({"a": {"b": 1}}, ["a", "b"], 0)': 1,
    'object.union({"a": 1}, {"a": 2})': {"a": 2},
    "{1, 2} & {2, 10}": [2],
    "{10, 9} | {1}": [1, 9, 10],
    "numbers.range(9, 11)": [9, 10, 11],
    'to_number("1.5")': 1.5,
    'units.parse_bytes("1KiB")': 1024,
    'glob.match("*.com", ["."], "a.b.com")': False,
    'graph.reachable({"a": ["b"], "b": []}, ["a"])': ["a", "b"],
    'crypto.sha256("a")': "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    'time.clock([1767225600000000000, "UTC"])': [0, 0, 0],
    "9223372036854775807 + 1": 9223372036854775808,
    "0.1 + 0.2": 0.3,
    "-7 % 3": -1,
    "10 > 9": True,
    "1e20 > 9e19": True,
}
LIBRARY = Module("lib.rego", 'package lib.names\ngood(s) { s == "x" }')
FAILING = {
    "two values": V1 + "allow := 1 if true\nallow := 2 if true",
    "division by zero": V1 + "allow if 1 / input.zero == 1",
    "a wrong type": V1 + 'deny contains 1 if startswith(input.zero, "x")',
}
DATA = {"limits": {"n": 3}, "names": ["café 😀"], "owners": {"café 😀": 1}}


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


@pytest.mark.parametrize("call", FUNCTIONS)
async def test_function(evaluators: Evaluators, call: str) -> None:
    evaluation = await evaluators.evaluate(bundle_of(Module("m.rego", f"{V1}deny := {call}")), "{}")
    assert evaluation.values == {DENY: FUNCTIONS[call]}


@pytest.mark.parametrize("case", FAILING)
async def test_errors_at_run_time_are_failures(evaluators: Evaluators, case: str) -> None:
    evaluation = await evaluators.evaluate(bundle_of(Module("m.rego", FAILING[case])), '{"zero":0}')
    assert evaluation.failure
