"""Compile one bundle in a process of its own: `python -m integrations.opa.compiler_process DIRECTORY`.

It reads the bundle from standard input and writes to standard output what the compiler says, both as one JSON document.
The directory, which is empty, is for the plan: the engine only gives it as files. A bundle that crashes the engine,
takes too long or too much memory ends the process.
"""

import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from domain.gates.rego import Module
from integrations.opa.engine import Policy, RegoFault
from integrations.opa.memory import MemoryLimit
from integrations.opa.plans import MAX_FAULTS, faults_of, hidden_rules, rules_of
from integrations.opa.syntax import unread_escapes

TIMEOUT_COMPILER = 5
"""Seconds of processor time."""
MEMORY = 1 << 30
MAX_FILE = 64 << 20
"""Bytes of memory, and of each file that the engine writes."""
MAX_FILES = 16


def main(directory: Path) -> int:
    """Compile the bundle, and return the exit status."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE, MAX_FILE))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
    signal.setitimer(signal.ITIMER_PROF, TIMEOUT_COMPILER)  # SIGPROF is not caught, so it ends the process
    bundle = json.load(sys.stdin.buffer)
    modules = [Module(*one) for one in bundle["modules"]]
    with MemoryLimit(MEMORY).watched():
        try:
            answer = _compiled(modules, bundle["data"], directory)
        except RegoFault as fault:
            answer = {"faults": [str(fault)]}
    sys.stdout.write(json.dumps(answer))
    return 0


def _compiled(modules: list[Module], data: dict[str, Any], directory: Path) -> dict[str, Any]:
    policy = Policy(modules, data, ())
    plan = policy.plan(directory)
    faults = faults_of(plan, modules, policy.has_function)
    hidden = hidden_rules(plan, data)
    faults += [f"the data document has a value in the place of the rule {rule}" for rule in hidden]
    unread = [f"{module.path}:{line}" for module in modules for line in unread_escapes(module.text)][:MAX_FAULTS]
    return {
        "faults": faults + [f"{place}: \\u and \\/ are refused: write the character itself" for place in unread],
        "rules": rules_of(plan, modules),
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
