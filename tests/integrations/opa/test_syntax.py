"""Packages and partial sets in the text of modules."""

import pytest

from integrations.opa.syntax import package_of, with_sets


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("package a", ("a",)),
        ("# x\n\n  # y\npackage a.b_1.c\nimport rego.v1", ("a", "b_1", "c")),
        ('package a["b-c"].d', ("a", "b-c", "d")),
        ("import rego.v1\npackage a", ()),
        ("packages", ()),
        ("", ()),
    ],
)
def test_the_package_of_a_module(module: str, package: tuple[str, ...]) -> None:
    assert package_of(module) == package


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("deny[msg] { true }", "deny contains msg { true }"),
        ('deny["no"]', 'deny contains "no"'),
        ('p[{"a": [1, "]"]}] {\n x[y] { }\n}', 'p contains {"a": [1, "]"]} {\n x[y] { }\n}'),
        ("p[sprintf(`]`,\n [x])] { true }\nq[z] { z }", "p contains sprintf(`]`,\n [x]) { true }\nq contains z { z }"),
        *((same, same) for same in (
            "p[x] = y { true }", "p[x] := 1", "p[x] if true", 'p["a"].b { true }', "p := q[x] { true }",
            "allow { p[x] { y } }", "# p[x] { }", "p := `\nq[x] { }`", "default p = false", "deny contains x if true",
            "p(x) { q[x] }", "p[x", "p", 'p := "\\"[" {',
        )),
    ],
)  # fmt: skip
def test_partial_sets(module: str, expected: str) -> None:
    assert with_sets(module) == expected
