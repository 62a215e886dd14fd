"""Handlers of OPA bundles."""

from typing import Any
from uuid import UUID

from aiohttp import web

from api.gates.opa_evaluators import OPA_EVALUATORS
from api.gates.schemas.opa import OpaBundleForm, OpaBundleIn, OpaBundleOut, OpaBundleQuery
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, Deleted, DryRun, Updated, created, deleted, updated
from api.http.organisation import check_org_slug
from api.http.paging import list_reply
from api.http.versions import IfMatch, etag, expected_versions
from domain.errors import Invalid
from domain.gates.opa import Bundle, NewBundle
from storage.gates.commands import opa_bundles as commands
from storage.gates.queries import opa_bundles as queries

_COMPILED: web.RequestKey[NewBundle] = web.RequestKey("compiled_bundle", NewBundle)
"""The uploaded bundle."""


async def compile_bundle(
    call: Call, *, body: OpaBundleIn | None = None, form: OpaBundleForm | None = None, **_: Any
) -> None:
    """Read and compile an uploaded bundle before any transaction begins: compiling may take seconds."""
    sent = form or body
    if sent is None:
        raise Invalid("Send JSON with regoContent, or a multipart form with the bundle in the part `file`.")
    check_org_slug(call, sent.org_slug)
    evaluators = call.request.app[OPA_EVALUATORS]
    if isinstance(sent, OpaBundleForm):
        name = sent.bundle_name
        source = await evaluators.read(call.caller.org_id, sent.file.path, sent.file.file_name)
    else:
        name, source = sent.name, sent.to_source()
    rules = await evaluators.compile(call.caller.org_id, source)
    call.request[_COMPILED] = NewBundle(name, sent.version, source, rules)


async def create_opa_bundle(
    call: Call,
    *,
    body: OpaBundleIn | None = None,  # noqa: ARG001 - compiled before
    form: OpaBundleForm | None = None,  # noqa: ARG001
    dry_run: DryRun = False,
) -> Created[OpaBundleOut]:
    """Upload an OPA bundle.

    Send one module as JSON, or a multipart form whose part `file` is a `.rego` file or a zip or tar.gz archive of
    modules and data documents. The bundle is compiled: one that the compiler refuses is refused with 400 and what the
    compiler says, one without a rule `allow` or `deny` with 422. It decides nothing until it is activated. The same
    content under the same name and version is the same bundle, which is returned with 200; another content is refused.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        bundle, new = await commands.create_bundle(tx, call.tenant, call.request[_COMPILED], call.actor)
    shown = OpaBundleOut.of(bundle, call)
    if dry_run:
        return created(shown, dry_run=True)
    return Reply(shown, status=None if new else 200, headers=etag(bundle.version))


async def list_opa_bundles(call: Call, query: OpaBundleQuery) -> Reply[list[OpaBundleOut]]:
    """List the OPA bundles, oldest first, as many as 8 MiB of content allow."""
    async with call.read() as reader:
        page = await queries.list_bundles(
            reader, call.tenant, query.window(), name=query.name, active=query.active, whole=query.counts_pages
        )
    return list_reply(call, page, OpaBundleOut)


async def get_opa_bundle(call: Call, bundle_id: UUID) -> Reply[OpaBundleOut]:
    """Get an OPA bundle."""
    async with call.read() as reader:
        bundle = await queries.get_bundle(reader, call.tenant, bundle_id)
    return _with_tag(call, bundle)


async def activate_opa_bundle(
    call: Call, bundle_id: UUID, dry_run: DryRun = False, if_match: IfMatch = None
) -> Updated[OpaBundleOut]:
    """Activate an OPA bundle, in place of the active one of its name."""
    async with call.transaction(dry_run=dry_run) as tx:
        bundle = await commands.activate_bundle(
            tx, call.tenant, bundle_id, call.actor, expected=expected_versions(if_match)
        )
    return updated(OpaBundleOut.of(bundle, call), dry_run=True) if dry_run else _with_tag(call, bundle)


async def deactivate_opa_bundle(
    call: Call, bundle_id: UUID, dry_run: DryRun = False, if_match: IfMatch = None
) -> Updated[OpaBundleOut]:
    """Deactivate an OPA bundle: then none of its name decides."""
    async with call.transaction(dry_run=dry_run) as tx:
        bundle = await commands.deactivate_bundle(
            tx, call.tenant, bundle_id, call.actor, expected=expected_versions(if_match)
        )
    return updated(OpaBundleOut.of(bundle, call), dry_run=True) if dry_run else _with_tag(call, bundle)


async def delete_opa_bundle(
    call: Call, bundle_id: UUID, dry_run: DryRun = False, if_match: IfMatch = None
) -> Deleted[OpaBundleOut]:
    """Delete an OPA bundle and release its version. One that is active is refused with 409."""
    async with call.transaction(dry_run=dry_run) as tx:
        bundle = await commands.archive_bundle(
            tx, call.tenant, bundle_id, call.actor, expected=expected_versions(if_match)
        )
    return deleted(OpaBundleOut.of(bundle, call), dry_run=dry_run)


def _with_tag(call: Call, bundle: Bundle) -> Reply[OpaBundleOut]:
    """Return a bundle with the ETag of its revision: its version is a text of its sender."""
    return Reply(OpaBundleOut.of(bundle, call), headers=etag(bundle.version))
