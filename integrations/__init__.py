"""Integrations with other systems. Every inbound sender is listed here explicitly; there is no plug-in registry."""

from collections.abc import Mapping
from types import MappingProxyType

from integrations.azure_devops.parse import parse as parse_azure_devops
from integrations.azure_devops.verify import verify as verify_azure_devops
from integrations.bitbucket.parse import parse as parse_bitbucket
from integrations.bitbucket.verify import verify as verify_bitbucket
from integrations.circleci.parse import parse as parse_circleci
from integrations.circleci.verify import verify as verify_circleci
from integrations.contract import Sender
from integrations.generic.parse import parse as parse_generic
from integrations.generic.verify import verify as verify_generic
from integrations.github.parse import json_of as github_json
from integrations.github.parse import parse as parse_github
from integrations.github.verify import verify as verify_github
from integrations.gitlab.parse import parse as parse_gitlab
from integrations.gitlab.verify import verify as verify_gitlab
from integrations.jenkins.parse import parse as parse_jenkins
from integrations.jenkins.verify import verify as verify_jenkins

_ALL = (
    Sender("GITHUB", verify_github, parse_github, kept_headers=frozenset({"content-type"}), json_of=github_json),
    Sender("GITLAB", verify_gitlab, parse_gitlab, kept_headers=frozenset(), takes_token=True),
    Sender("JENKINS", verify_jenkins, parse_jenkins, kept_headers=frozenset()),
    Sender("CIRCLECI", verify_circleci, parse_circleci, kept_headers=frozenset()),
    Sender("BITBUCKET", verify_bitbucket, parse_bitbucket, kept_headers=frozenset()),
    Sender("AZURE_DEVOPS", verify_azure_devops, parse_azure_devops, kept_headers=frozenset()),
    Sender("GENERIC", verify_generic, parse_generic, kept_headers=frozenset(), validate_on_accept=True),
)

SENDERS: Mapping[str, Sender] = MappingProxyType({sender.source: sender for sender in _ALL})
"""Senders by source, in upper case as in the API."""
