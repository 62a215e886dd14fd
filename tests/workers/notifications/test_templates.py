"""Templates in their own process: what hostile ones cost, and that nobody else pays for them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import psutil
import pytest

from domain.notifications.templates import FILTERS, MAX_OUTPUT, check_template, rendered
from workers.notifications import templates as module
from workers.notifications.templates import ENDED, NOT_STARTED, TOO_LONG, TemplateFailed, Templates

VALUES: dict[str, Any] = {"title": "Ädä\n'\"\\", "data": {"tags": ["a", "b"], "n": 3}, "flowId": None}


@pytest.fixture
async def templates() -> AsyncIterator[Templates]:
    made = Templates()
    yield made
    await made.close()
    assert children() == []


def children() -> list[psutil.Process]:
    return [
        one
        for one in psutil.Process().children()
        if "workers.notifications.template_process" in " ".join(one.cmdline())
    ]


async def failure(templates: Templates, source: str, values: Any = VALUES) -> str:
    with pytest.raises(TemplateFailed) as caught:
        await templates.render({"title": source}, values)
    return caught.value.reason


async def works(templates: Templates) -> bool:
    return await templates.render({"title": "{{ data.n }}"}, VALUES) == {"title": "3"}


async def test_texts_by_name(templates: Templates) -> None:
    sources = {"title": "{{ title }}", "message": "{% for tag in data.tags %}{{ tag }}{% endfor %}[{{ flowId }}]\u2028"}
    assert await templates.render(sources, VALUES) == {"title": VALUES["title"], "message": "ab[]\u2028"}
    assert await templates.render({}, VALUES) == {}


async def test_nothing_is_started_before_it_is_needed_and_then_once(templates: Templates) -> None:
    assert children() == []
    for _ in range(3):
        assert await works(templates)
    assert len(children()) == 1


async def test_requests_at_once_get_each_their_own_text(templates: Templates) -> None:
    texts = await asyncio.gather(*(templates.render({"t": "{{ n }}"}, {"n": n}) for n in range(50)))
    assert texts == [{"t": str(n)} for n in range(50)]


async def test_the_longest_texts_come_through(templates: Templates) -> None:
    for character in ("x", "ü", "\U0001f600"):
        count = MAX_OUTPUT // len(character.encode())
        sources = dict.fromkeys(("title", "message"), f"{{{{ c * {count} }}}}")
        assert await templates.render(sources, {"c": character}) == dict.fromkeys(sources, character * count)


async def test_large_values_go_in(templates: Templates) -> None:
    values = {"data": {"log": ["line " * 100] * 5000}}
    assert await templates.render({"title": "{{ data.log | length }}"}, values) == {"title": "5000"}


async def test_a_failure_names_the_template(templates: Templates) -> None:
    with pytest.raises(TemplateFailed) as caught:
        await templates.render({"title": "{{ title }}", "message": "{{ nothing }}"}, VALUES)
    assert caught.value.reason == "message: 'nothing' is undefined"
    assert await works(templates)


def text_here(source: str) -> str:
    """What comes of it in this process."""
    try:
        return rendered(source, {})
    except TemplateFailed as failed:
        return f"title: {failed.reason}"


async def text_there(templates: Templates, source: str) -> str:
    """What comes of it in the child."""
    try:
        return (await templates.render({"title": source}, {}))["title"]
    except TemplateFailed as failed:
        return failed.reason


async def test_every_filter_works_where_nothing_can_be_opened(templates: Templates) -> None:
    """jinja2 and Python load parts of themselves at first use; in the child, which opens no file, that is too late."""
    for name in FILTERS:
        if name == "random":
            continue
        for value in ("'some <b>text</b> of https://example.org'", "[3, 1, 2]", "{'a': 1}", "3.7"):
            for arguments in ("", "('a')", "(2)"):
                source = f"{{{{ {value} | {name}{arguments} | string | length > 0 }}}}"
                assert {source: await text_there(templates, source)} == {source: text_here(source)}


# Hostile templates

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    "source",
    [
        ENDLESS,
        "{{ 10 ** (10 ** 9) }}",
        *(
            pytest.param(source, marks=pytest.mark.slow)
            for source in (
                "{% set x = 10 ** 10000000 %}{{ x | string }}",
                "{% macro m(n) %}{% for i in range(n) %}{{ m(n - 1) }}{% endfor %}{% endmacro %}{{ m(40) }}",
                "{{ (range(99999) | list * 99) | sort | sum }}" * 40,
            )
        ),
    ],
)
async def test_what_takes_too_long_is_ended_within_seconds(templates: Templates, source: str) -> None:
    check_template("titleTemplate", source)
    assert await works(templates)
    began = monotonic()
    reason = await failure(templates, source)
    assert reason in (TOO_LONG, "title: The template needs too much memory") or "Exceeds the limit" in reason
    assert monotonic() - began < module.TIMEOUT_ANSWER + module.TIMEOUT_STOP + 2
    assert await works(templates)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}",
        "{{ [title] * 10**9 }}",
        "{{ '%999999999s' | format(title) }}",
        "{{ '%s' * 10**8 }}",
        "{% set x = namespace(s='a' * 99999) %}{% for _ in range(99999) %}{% set x.s = x.s + x.s %}{% endfor %}",
        "{{ (range(99999) | list * 9999) | length }}",
    ],
)
async def test_what_needs_too_much_memory_fails(templates: Templates, source: str) -> None:
    assert await works(templates)
    assert await failure(templates, source) == "title: The template needs too much memory"
    assert await works(templates)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ 'a' * 20000 }}", "more than 16384 bytes"),
        ("{% for _ in range(99999) %}{{ title }}{% endfor %}", "more than 16384 bytes"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recurses without end"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ ", "unexpected"),
    ],
)
async def test_what_fails_costs_no_process(templates: Templates, source: str, reason: str) -> None:
    assert await works(templates)
    [child] = children()
    assert reason.lower() in (await failure(templates, source)).lower()
    assert await works(templates)
    assert children() == [child]


async def test_a_template_that_ended_the_child_is_set_aside(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand messages of its rule must not cost a thousand seconds."""
    assert await failure(templates, ENDLESS) == TOO_LONG
    began = monotonic()
    for _ in range(20):
        assert await failure(templates, ENDLESS) == TOO_LONG
    assert monotonic() - began < 0.5
    assert await works(templates)
    monkeypatch.setattr(module, "monotonic", lambda: began + module.SET_ASIDE + 2)
    [child] = children()
    assert await failure(templates, ENDLESS) == TOO_LONG
    assert not child.is_running()


async def test_a_child_that_hangs_is_killed(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await works(templates)
    monkeypatch.setattr(module, "TIMEOUT_ANSWER", 0.2)
    monkeypatch.setattr(module, "TIMEOUT_STOP", 0.2)
    [child] = children()
    child.send_signal(signal.SIGSTOP)
    assert await failure(templates, "{{ title }}") == TOO_LONG
    assert not child.is_running()
    monkeypatch.setattr(module, "TIMEOUT_ANSWER", 5.0)
    assert await works(templates)


async def test_a_child_that_crashes_is_replaced(templates: Templates) -> None:
    assert await works(templates)
    [child] = children()
    child.send_signal(signal.SIGSEGV)
    child.wait(5)
    assert await text_there(templates, "unlucky") in ("unlucky", ENDED)  # its end may be seen only now
    assert await works(templates)


async def test_a_request_that_is_given_up_leaves_no_answer_behind(templates: Templates) -> None:
    """The next one would be told the text of this one."""
    assert await works(templates)
    slow = "{% for a in range(5) %}{% for b in range(99999) %}{% endfor %}{% endfor %}slow"
    asked = asyncio.create_task(templates.render({"title": slow}, VALUES))
    await asyncio.sleep(0.005)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await works(templates)


async def test_a_signal_for_the_worker_does_not_end_its_child(templates: Templates) -> None:
    assert await works(templates)
    [child] = children()
    for stopping in (signal.SIGINT, signal.SIGTERM):
        child.send_signal(stopping)
    assert await works(templates)
    assert children() == [child]


async def test_the_child_knows_nothing_of_the_worker(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAILGATE_DATABASE_URL", "postgresql://secret")
    assert await works(templates)
    [child] = children()
    assert not [name for name in child.environ() if name.startswith("TRAILGATE")]
    assert all(limit == 0 for limit in child.rlimit(psutil.RLIMIT_NOFILE))
    assert child.rlimit(psutil.RLIMIT_AS)[0] == 256 * 2**20


async def test_the_child_ends_with_its_worker() -> None:
    """Even one that is killed: its end of the pipe goes with it."""
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _WORKER), cwd=module._ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    child = psutil.Process(json.loads(await worker.stdout.readline()))
    os.kill(worker.pid, signal.SIGKILL)
    await worker.wait()
    child.wait(10)
    assert not child.is_running()


_WORKER = """
import asyncio
import psutil
from workers.notifications.templates import Templates

async def main():
    await Templates().render({"t": "x"}, {})
    print(psutil.Process().children()[0].pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("executable", ["/does/not/exist", "/bin/true", "/bin/cat"])
async def test_a_child_that_does_not_start(
    templates: Templates, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert await failure(templates, "{{ title }}") == NOT_STARTED
    monkeypatch.undo()
    assert await works(templates)


async def test_closing_twice_and_before_anything_was_started(templates: Templates) -> None:
    await templates.close()
    assert await works(templates)
    await templates.close()
    await templates.close()
    assert children() == []
