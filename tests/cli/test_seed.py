"""An organisation to look at: what is in it, and how to go on when it is there already."""

import re
import shlex

import pytest

KEY = re.compile(r"tg_[0-9a-f]{64}")


def advised(message: str) -> list[list[str]]:
    """The words of each command that a message names in quotation marks, after `trailgate`."""
    return [shlex.split(command) for command in re.findall(r'"trailgate ([^"]+)"', message)]


def test_an_organisation_is_made_once_and_its_key_printed_alone(started: None, trailgate) -> None:
    made = trailgate("seed")
    assert (made.status, bool(KEY.fullmatch(made.out.strip()))) == (0, True)
    assert "Organisation demo is ready" in made.err
    assert "\tdemo\t" in trailgate("organisations", "list").out


@pytest.mark.parametrize("before", [("seed",), ("organisations", "create", "demo")])
def test_a_second_time_the_commands_to_go_on_are_named_and_work(
    started: None, trailgate, before: tuple[str, ...]
) -> None:
    """Also for somebody whose first `seed` was killed before it printed the key."""
    assert trailgate(*before).status == 0
    refused = trailgate("seed")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith("trailgate: An organisation with the slug 'demo' exists already; seed another with ")
    commands = advised(refused.err)
    assert [words[0] for words in commands] == ["seed", "keys"]
    for words in commands:
        done = trailgate(*(word.lower() if word == "NAME" else word for word in words))
        assert (done.status, bool(KEY.fullmatch(done.out.strip()))) == (0, True), done
