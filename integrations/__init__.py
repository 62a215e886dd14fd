"""Whom we talk to. Every inbound sender is listed here, by hand: nothing registers itself."""

from collections.abc import Mapping
from types import MappingProxyType

from integrations.contract import Sender
from integrations.generic.parse import parse as parse_generic
from integrations.generic.verify import verify as verify_generic
from integrations.github.parse import json_of as github_json
from integrations.github.parse import parse as parse_github
from integrations.github.verify import verify as verify_github

_ALL = (
    Sender("GITHUB", verify_github, parse_github, kept_headers=frozenset({"content-type"}), json_of=github_json),
    Sender("GENERIC", verify_generic, parse_generic, kept_headers=frozenset(), validate_on_accept=True),
)

SENDERS: Mapping[str, Sender] = MappingProxyType({sender.source: sender for sender in _ALL})
"""By source, in upper case as on the wire (integrations.md 13)."""
