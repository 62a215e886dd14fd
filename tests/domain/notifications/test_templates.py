"""Templates: refused early with field and line, filled in strictly, kept inside their sandbox."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.notifications.templates import (
    MAX_OUTPUT,
    MAX_REASON,
    MAX_SOURCE,
    VARIABLES,
    TemplateFailed,
    check_template,
    rendered,
)

VALUES: dict[str, Any] = {
    "title": "Attestation <unit-tests> failed",
    "message": "3 of 400",
    "severity": "WARNING",
    "triggerEvent": "ATTESTATION_FAILED",
    "entityType": "ATTESTATION",
    "entityId": "0190a8c0-0000-7000-8000-000000000001",
    "flowId": None,
    "environmentId": None,
    "data": {"trailId": "t", "tags": ["a", "b"], "n": 3},
    "occurredAt": "2026-01-31T12:00:00.000000Z",
}


def refusal(source: str) -> str:
    with pytest.raises(Invalid) as caught:
        check_template("titleTemplate", source)
    [detail] = caught.value.details
    assert detail.field == "titleTemplate"
    return detail.message


def failure(source: str, **values: Any) -> str:
    with pytest.raises(TemplateFailed) as caught:
        rendered(source, VALUES | values)
    return caught.value.reason


def test_the_values_are_those_that_are_promised() -> None:
    assert set(VALUES) == set(VARIABLES)


# Checking


@pytest.mark.parametrize(
    "source",
    [
        "plain text",
        "{{ title }}",
        "{% if data.n > 2 %}many{% else %}few{% endif %}",
        "{% for tag in data.tags %}{{ loop.index }}: {{ tag | upper }}{% endfor %}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(title) }}",
        "{{ nothing if nothing is defined else '-' }}",
        "{# a comment #}ü\n",
        "{% set n = data.n %}{{ n }}{% set ns = namespace(x=1) %}{{ ns.x }}{{ nothing | d('-') }}",
        "{% macro m() %}{{ varargs }}{{ caller() }}{% endmacro %}{% call m() %}{{ title }}{% endcall %}",
        "{% for key, value in data | items %}{{ key }}={{ value }}{% endfor %}{{ range(3) | list }}{{ none }}",
        "x" * MAX_SOURCE,
    ],
)
def test_templates_that_are_taken(source: str) -> None:
    check_template("titleTemplate", source)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "must not be blank"),
        (" \n", "must not be blank"),
        ("x" * (MAX_SOURCE + 1), "more than 8192 bytes"),
        ("ü" * (MAX_SOURCE // 2 + 1), "more than 8192 bytes"),
        ("{{ title", "line 1: "),
        ("\n\n{% if %}", "line 3: "),
        ("{% for x in %}{% endfor %}", "line 1: "),
        ("a\n{% endif %}", "line 2: "),
        ("{{ title }}\n{% include 'x' %}", "line 2: there are no other templates"),
        ("{% import 'x' as y %}", "line 1: there are no other templates"),
        ("{% from 'x' import y %}", "line 1: there are no other templates"),
        ("{% extends 'x' %}", "line 1: there are no other templates"),
        ("\n{{ title | shout }}", "line 2: there is no filter 'shout'"),
        ("{{ title is loud }}", "line 1: there is no test 'loud'"),
        ("\n{{ titel }}", "line 2: there is no variable 'titel'; the variables are title, message"),
        ("{% for x in tags %}{{ x }}{% endfor %}", "line 1: there is no variable 'tags'"),
        ("{{ " + "(" * 2000 + ")" * 2000 + " }}", "nested too deeply"),
        ("{{ " + "1+" * 3000 + "1 }}", "nested too deeply"),
        ("{{ " + "-" * 4000 + "1 }}", "nested too deeply"),
        ("{{ " + "9" * 5000 + " }}", "cannot be read"),
        ("{{ '\\x' }}", "line 1: "),
    ],
)
def test_templates_that_are_refused(source: str, reason: str) -> None:
    assert reason in refusal(source)


def test_checking_executes_nothing() -> None:
    """Compiling would count these out, for as long as it takes."""
    for source in ("{{ 'a' * 10**12 }}", "{{ 10 ** (10 ** 10) }}", "{{ range(99999) | list | length ** 9999 }}"):
        check_template("titleTemplate", source)


@given(st.text(alphabet="{}%#'\"\\()[]|.,-+*/=<>~ \n\tabifor19ü", max_size=80))
def test_any_text_is_a_template_or_is_refused(source: str) -> None:
    with suppress(Invalid):
        check_template("titleTemplate", source)


# Rendering


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ severity }}: {{ title }}", "WARNING: Attestation <unit-tests> failed"),
        ("{{ data.trailId }} {{ data['n'] + 1 }}", "t 4"),
        ("{{ data.tags | join(', ') }}", "a, b"),
        ("[{{ flowId }}]", "[]"),
        ("{{ entityType | lower | title }}", "Attestation"),
        ("{{ data | tojson }}", '{"n": 3, "tags": ["a", "b"], "trailId": "t"}'),
        ("{{ occurredAt[:10] }}", "2026-01-31"),
        ("{{ nothing | default('-') }}", "-"),
        ("a\tb\nc", "a\tb\nc"),
        ("a{{ '\\0\\r\\x07\\x1b[31m\\x9b' }}b", "a[31mb"),
    ],
)
def test_what_templates_make(source: str, text: str) -> None:
    check_template("titleTemplate", source)
    assert rendered(source, VALUES) == text


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{{ data.nothing }}", "has no attribute 'nothing'"),
        ("{{ data.nothing.deeper }}", "has no attribute 'nothing'"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ data.n + title }}", "TypeError"),
        ("{{ data.n() }}", "TypeError"),
        ("{{ title | int('x', 99) | shout }}", "No filter named 'shout'"),
        ("{{ '\\ud800' }}", "characters that cannot be encoded"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recurses without end"),
        ("{% include 'x' %}", "no loader"),
        ("{{ range(1000000) }}", "Range too big"),
    ],
)
def test_what_fails_says_why(source: str, reason: str) -> None:
    assert reason in failure(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ title.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ title['__class__'] }}",
        "{{ title | attr('__class__') }}",
        "{{ '{0.__class__}'.format(title) }}",
        "{{ '{x.__class__}'.format_map({'x': title}) }}",
        "{{ ('%s' | format(title)).__class__ }}",
        "{{ data.update({'a': 1}) }}",
        "{{ data.tags.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ lipsum.__globals__ }}",
        "{{ joiner() }}",
        "{{ self.__init__.__globals__ }}",
        "{{ range.__self__ }}",
        "{{ (data.tags | map('upper')).gi_frame }}",
        "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ data.items.__self__.__class__ }}",
        "{{ title.encode().decode.__class__ }}",
    ],
)
def test_the_sandbox_holds(source: str) -> None:
    reason = failure(source)
    assert any(words in reason for words in ("unsafe", "not safely callable", "is undefined", "has no attribute"))


def test_values_stay_as_they_were() -> None:
    values = {"data": {"tags": ["a"]}}
    with pytest.raises(TemplateFailed):
        rendered("{% set _ = data.tags.append('b') %}", values)
    assert values == {"data": {"tags": ["a"]}}


@pytest.mark.parametrize("piece", ["x", "ü"])
def test_how_long_a_text_may_be(piece: str) -> None:
    most = MAX_OUTPUT // len(piece.encode())
    assert rendered(f"{{% for _ in range({most}) %}}{piece}{{% endfor %}}", {}) == piece * most
    assert "more than 16384 bytes" in failure(f"{{% for _ in range({most + 1}) %}}{piece}{{% endfor %}}")
    assert "more than 16384 bytes" in failure(f"{{{{ '{piece}' * {most + 1} }}}}")


def test_a_text_without_end_is_left_early() -> None:
    assert "more than" in failure(
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ message }}{% endfor %}{% endfor %}"
    )


def test_reasons_are_short_and_printable() -> None:
    reason = failure("{{ data[message] }}", message="\x00\n" + "x" * 5000)
    assert len(reason) <= MAX_REASON + 1
    assert reason.isprintable()


@given(st.text(max_size=200))
def test_values_are_not_templates(text: str) -> None:
    """Whatever a reporter writes is text, braces and all."""
    shown = "".join(c for c in text if c in "\t\n" or not (ord(c) < 32 or 127 <= ord(c) < 160))
    assert rendered("{{ message }}", {"message": text}) == shown
