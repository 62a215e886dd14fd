"""Bundles that are refused when they are uploaded, with the place of the fault."""

import pytest

from domain.errors import Invalid, Rejected
from domain.gates.rego import Module, Rule, Source
from integrations.opa.compiler import compiled

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = {
    "syntax": ("allow {\n  input.x ==\n}", "m.rego:4:11: Invalid boolean operator"),
    "no bracket": ("allow {", "m.rego:3:7: this is unclosed"),
    "network": (
        'deny contains "x" if http.send({"method": "get", "url": "http://localhost"})',
        "m.rego:3: http.send is",
    ),
    "addresses": ('allow if net.lookup_ip_addr("localhost")', "m.rego:3: net.lookup_ip_addr is refused"),
    "environment": ("allow if opa.runtime().env.HOME", "m.rego:3: opa.runtime is refused"),
    "clock": ("\nallow if time.now_ns() > 1", "m.rego:4: time.now_ns is refused"),
    "chance": ('allow if rand.intn("x", 2) == 1', "m.rego:3: rand.intn is refused"),
    "new id": ('allow if uuid.rfc4122("x") == "y"', "m.rego:3: uuid.rfc4122 is refused"),
    "wrong order": ("allow if max([9, 10]) == 10", "m.rego:3: max is refused"),
    "wrong order of versions": ('allow if semver.compare(input.v, "1.2.0") > 0', "m.rego:3: semver.compare is refused"),
    "trace": ('allow if trace("x")', "m.rego:3: there is no function trace"),
    "misspelt function": ('deny contains "x" if startwith(input.x, "y")', "m.rego:3: there is no function startwith"),
    "function of no module": ("allow if data.lib.good(1)", "m.rego:3: there is no function data.lib.good"),
    "arguments": ('allow if startswith("x")', "m.rego:3: startswith takes 2 arguments"),
    "arguments of its own": ("f(x, y) := x + y\nallow if f(1) == 2", "m.rego:4: data.a.f takes 2 arguments"),
    "misspelt variable": ('deny contains "x" if inptu.x == 1', "m.rego:3: a variable has no value"),
    "variable under not": ("allow if not y == 1", "m.rego:3: a variable has no value"),
    "rules that need each other": ("allow if not deny\ndeny if not allow", "data.a.allow depends on itself"),
    "endless recursion": ("f(x) := f(x + 1)\nallow if f(1)", "data.a.f depends on itself"),
    "wildcard in an argument": ('allow if startswith(input.l[_], "x")', "give the element a name first"),
    "a crash of the compiler": ("allow if data[k] == 2\nf(x) := 1", "the compiler crashed"),
    "a character by its number": ('allow if true\ndeny contains "x" if input.s == "caf\\u00e9"', "m.rego:4: \\u and"),
    "an escaped slash": (r'deny contains "x" if input.s == "a\/b"', "m.rego:3: \\u and"),
    "two packages": ("package b\nallow if true", "m.rego:3:1"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refused(case: str) -> None:
    text, said = REFUSED[case]
    with pytest.raises(Invalid, match=r"^regoContent: ") as refused:
        await compiled(Source((Module("m.rego", f"package a\nimport rego.v1\n{text}"),)))
    assert said in refused.value.message


async def test_what_decides_nothing_is_refused() -> None:
    with pytest.raises(Rejected, match="no package of the bundle has a rule"):
        await compiled(Source((Module("m.rego", "package a\nallow_all = true\ndenied(x) { x }"),)))


async def test_data_cannot_take_the_place_of_a_rule() -> None:
    module = Module("m.rego", "package a.b\nallow = false")
    for data in ({"a": {"b": {"allow": True}}}, {"a": {"b": True}}, {"a": True}):
        with pytest.raises(Invalid, match=r"in the place of the rule data\.a\.b\.allow"):
            await compiled(Source((module,), data))
    assert await compiled(Source((module,), {"a": {"b": {"limit": 1}}})) == (Rule(("a", "b"), "allow"),)


@pytest.mark.slow
async def test_what_takes_too_long_to_compile_is_refused() -> None:
    rules = "".join(f'deny contains "{n}" if {{ some x in input.l; x.a == {n}; x.b != {n} }}\n' for n in range(14_000))
    with pytest.raises(Invalid, match=r"the compiler (took too long|did not answer in time)"):
        await compiled(Source((Module("m.rego", f"package a\n{rules}"),)))


async def test_deep_nesting_is_refused() -> None:
    with pytest.raises(Invalid, match=r"regoContent: "):
        await compiled(Source((Module("m.rego", "package a\nallow = " + "[" * 200_000 + "]" * 200_000),)))
