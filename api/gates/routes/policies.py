"""Routes of policies, of deployment policies, and of what policies are attached to.

All of them are the organisation's: a key with scopes has no access.
"""

from functools import partial

from api.gates.handlers import policies
from api.gates.schemas.policies import (
    AttachmentOut,
    AttachmentsQuery,
    DeploymentPoliciesQuery,
    DeploymentPolicyChangeIn,
    DeploymentPolicyOut,
    PoliciesQuery,
    PolicyChangeIn,
    PolicyOut,
)
from api.http.calls import Route, tagged
from api.http.paths import V1
from api.http.resources import Resource
from domain.gates.policies import PolicyKind
from domain.identity.permissions import Permission
from storage.gates.commands.attachments import detach
from storage.gates.commands.policies import archiving, updating
from storage.gates.queries.attachments import get_attachment, list_attachments
from storage.gates.queries.policies import get_policy, list_policies

_POLICIES = Resource(
    "policy", "policies", f"{V1}/policies", PolicyOut, read=Permission.FACTS_READ, manage=Permission.POLICIES_MANAGE
)
_DEPLOYMENT_POLICIES = Resource(
    "deployment policy",
    "deployment policies",
    f"{V1}/deployment-policies",
    DeploymentPolicyOut,
    read=Permission.FACTS_READ,
    manage=Permission.POLICIES_MANAGE,
)
_ATTACHMENTS = Resource(
    "policy attachment",
    "policy attachments",
    f"{V1}/policy-attachments",
    AttachmentOut,
    read=Permission.FACTS_READ,
    manage=Permission.POLICIES_MANAGE,
)
_ATTACHABLE, _DEPLOYMENT = PolicyKind.ATTACHABLE, PolicyKind.DEPLOYMENT

ROUTES = (
    *tagged(
        "Policies",
        Route(
            "POST",
            _POLICIES.path,
            policies.create_policy,
            Permission.POLICIES_MANAGE,
            status=201,
            errors=(404, 409),
        ),
        _POLICIES.list(
            partial(list_policies, kind=_ATTACHABLE), "List the policies, oldest first.", parameters=PoliciesQuery
        ),
        _POLICIES.get(partial(get_policy, kind=_ATTACHABLE), "Get a policy."),
        _POLICIES.update(
            updating(_ATTACHABLE),
            PolicyChangeIn,
            """Update a policy.

            Every change creates a new version, which applies at once; earlier decisions keep citing theirs.
            """,
        ),
        _POLICIES.delete(
            archiving(_ATTACHABLE),
            """Archive a policy, remove its attachments, and release its name.

            Its versions and their ledger entries are kept.
            """,
        ),
        Route(
            "POST",
            _ATTACHMENTS.path,
            policies.create_policy_attachment,
            Permission.POLICIES_MANAGE,
            status=201,
            errors=(404, 409),
        ),
        _ATTACHMENTS.list(
            list_attachments, "List what policies are attached to, oldest first.", parameters=AttachmentsQuery
        ),
        _ATTACHMENTS.get(get_attachment, "Get an attachment of a policy."),
        _ATTACHMENTS.delete(detach, "Detach a policy from the environment or the flow."),
    ),
    *tagged(
        "Deployment policies",
        Route(
            "POST",
            _DEPLOYMENT_POLICIES.path,
            policies.create_deployment_policy,
            Permission.POLICIES_MANAGE,
            status=201,
            errors=(404, 409),
        ),
        _DEPLOYMENT_POLICIES.list(
            partial(list_policies, kind=_DEPLOYMENT),
            "List the deployment policies, oldest first.",
            parameters=DeploymentPoliciesQuery,
        ),
        _DEPLOYMENT_POLICIES.get(partial(get_policy, kind=_DEPLOYMENT), "Get a deployment policy."),
        _DEPLOYMENT_POLICIES.update(
            updating(_DEPLOYMENT),
            DeploymentPolicyChangeIn,
            """Update a deployment policy.

            Every change creates a new version, which applies at once; earlier decisions keep citing theirs.
            """,
        ),
        _DEPLOYMENT_POLICIES.delete(
            archiving(_DEPLOYMENT),
            """Archive a deployment policy.

            Its versions and their ledger entries are kept.
            """,
        ),
    ),
)
