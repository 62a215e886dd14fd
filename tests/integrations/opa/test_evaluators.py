"""What happens to the processes that evaluate policies: whatever a policy does, the next evaluation works."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from domain.canonical import canonical_json
from domain.gates.rego import Module, Rule
from integrations.opa import evaluators as evaluators_module
from integrations.opa.evaluators import Evaluators
from integrations.opa.protocol import READY
from tests.integrations.opa.test_constructs import bundle_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

Children = Callable[[], list[psutil.Process]]
GOOD = bundle_of(Module("m.rego", "package a\nallow = input.ok\ndeny[m] { m := data.never }"))
HOSTILE = {
    "endless": (
        "allow { a := numbers.range(1, 3000); x := a[_]; y := a[_]; z := a[_]; x + y == z + 9000 }",
        "took too long",
    ),
    "memory": (
        's0 = "x"\nallow { count(s31) > 0 }\n' + "".join(f's{n + 1} = concat("", [s{n}, s{n}])\n' for n in range(31)),
        "too much memory",
    ),
    "output": (
        's0 = "x"\nallow = s21\n' + "".join(f's{n + 1} = concat("", [s{n}, s{n}])\n' for n in range(21)),
        "too large",
    ),
    "native recursion": ('allow { json.unmarshal(concat("", ["[" | numbers.range(1, 100000)[_]])) }', ""),
}


def running() -> set[psutil.Process]:
    mine = psutil.Process().children()
    return {one for one in mine if "integrations.opa.evaluator_process" in " ".join(one.cmdline())}


@pytest.fixture
def children() -> Children:
    """The processes that the test has started."""
    before = running()
    return lambda: list(running() - before)


async def test_an_evaluation_begins_with_nothing_of_the_last_one(children: Children) -> None:
    evaluators = Evaluators()
    for ok in (True, False, True):
        evaluation = await evaluators.evaluate(GOOD, canonical_json({"ok": ok}).decode())
        assert evaluation.values == {Rule(("a",), "allow"): ok, Rule(("a",), "deny"): []}
    assert len(children()) == 1
    await evaluators.close()
    assert children() == []


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_policy_only_fails_itself(case: str) -> None:
    text, said = HOSTILE[case]
    evaluators = Evaluators()
    evaluation = await evaluators.evaluate(bundle_of(Module("m.rego", f"package a\n{text}")), "{}")
    assert evaluation.values == {}
    assert said in (evaluation.failure or "")
    assert (await evaluators.evaluate(GOOD, '{"ok":true}')).failure is None
    await evaluators.close()


async def test_a_killed_process_fails_one_evaluation(children: Children) -> None:
    evaluators = Evaluators()
    await evaluators.evaluate(GOOD, "{}")
    [child] = children()
    child.send_signal(signal.SIGSTOP)
    evaluating = asyncio.create_task(evaluators.evaluate(GOOD, "{}"))
    await asyncio.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    assert "the system ended it" in ((await evaluating).failure or "")
    assert (await evaluators.evaluate(GOOD, "{}")).failure is None
    await evaluators.close()


async def test_a_process_that_used_much_memory_is_replaced(children: Children) -> None:
    """It has no fault: the next evaluation would begin with what it holds. What its parent used does not count."""
    del [b"x" * (512 << 20)][:]
    texts = [*(f's{n + 1} = concat("", [s{n}, s{n}])' for n in range(25)), 's0 = "x"', "allow { count(s25) > 0 }"]
    evaluators = Evaluators()
    made = await evaluators.evaluate(bundle_of(Module("m.rego", "\n".join(["package a", *texts]))), "{}")
    assert made.values == {Rule(("a",), "allow"): True}
    assert children() == []
    assert (await evaluators.evaluate(GOOD, "{}")).failure is None
    await evaluators.close()


async def test_a_process_that_ended_while_idle_is_replaced(children: Children) -> None:
    evaluators = Evaluators()
    await evaluators.evaluate(GOOD, "{}")
    [child] = children()
    child.kill()
    child.wait()
    await asyncio.sleep(0.1)  # until the event loop has noticed
    assert (await evaluators.evaluate(GOOD, "{}")).failure is None
    await evaluators.close()


async def test_an_interrupted_evaluation_answers_no_other_one(children: Children) -> None:
    evaluators = Evaluators()
    await evaluators.evaluate(GOOD, '{"ok":true}')
    [child] = children()
    child.suspend()
    evaluating = asyncio.create_task(evaluators.evaluate(GOOD, '{"ok":true}'))
    await asyncio.sleep(0.1)
    evaluating.cancel()
    await asyncio.gather(evaluating, return_exceptions=True)
    evaluation = await evaluators.evaluate(GOOD, '{"ok":false}')
    assert evaluation.values[Rule(("a",), "allow")] is False
    await evaluators.close()


@pytest.mark.parametrize("line", ["{", "[]", "{}", "null", "x" * 100])
async def test_an_unreadable_answer_allows_nothing(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Of a process that was taken over, say."""
    program = f"""print({READY.decode()!r}, end="", flush=True); input(); print({line!r}, flush=True); input()"""
    monkeypatch.setattr(evaluators_module, "COMMAND", (sys.executable, "-c", program))
    evaluators = Evaluators()
    assert "no readable answer" in ((await evaluators.evaluate(GOOD, "{}")).failure or "")
    await evaluators.close()


async def test_a_process_that_does_not_start_allows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluators = Evaluators()
    for command in ((sys.executable, "-c", ""), ("/nothing/there",)):
        monkeypatch.setattr(evaluators_module, "COMMAND", command)
        assert "did not start" in ((await evaluators.evaluate(GOOD, "{}")).failure or "")
    await evaluators.close()


async def test_evaluations_at_once_have_processes_of_their_own() -> None:
    evaluators = Evaluators()
    given = [bool(n % 2) for n in range(6)]
    made = await asyncio.gather(*(evaluators.evaluate(GOOD, canonical_json({"ok": ok}).decode()) for ok in given))
    assert [one.values[Rule(("a",), "allow")] for one in made] == given
    await evaluators.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")
async def test_the_process_holds_nothing_and_can_open_nothing(children: Children) -> None:
    evaluators = Evaluators()
    await evaluators.evaluate(GOOD, "{}")
    [child] = children()
    proc = Path(f"/proc/{child.pid}")
    opened = {str(one.readlink()) for one in (proc / "fd").iterdir()}
    assert {one for one in opened if not one.startswith("pipe:")} <= {"/dev/null", f"{proc}/status"}
    assert "Max open files            0                    0" in (proc / "limits").read_text()
    assert (proc / "environ").read_bytes().replace(b"LC_CTYPE=C.UTF-8\0", b"") == b""
    await evaluators.close()


async def test_the_server_does_not_load_the_engine() -> None:
    code = "import sys, api.app, workers.host; sys.exit('regopy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["compiler_process", "evaluator_process"])
async def test_the_engine_is_alone_with_its_allocator(name: str) -> None:
    """With RE2 in the same process, the engine frees what it did not allocate, and the process is aborted."""
    code = f"import sys, integrations.opa.{name}; sys.exit('re2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
