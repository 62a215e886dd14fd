"""OPA bundles as clients send them."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Any

from tests.api.caller import Answer, Caller, unique
from tests.api.uploading import FORM, form_body

GATE = """package release
import rego.v1
default allow := false
allow if input.approvalStatus == "APPROVED"
deny contains msg if {
    some one in input.attestations
    one.status == "FAILED"
    msg := sprintf("%s failed", [one.type])
}
"""
GOOD = {
    "artifactName": "app",
    "attestations": [{"type": "trivy", "status": "PASSED"}],
    "approvalStatus": "APPROVED",
}


async def upload(api: Caller, rego: str = GATE, status: int = 201, **fields: Any) -> Any:
    body = {"name": unique("release"), "version": "1", "regoContent": rego, **fields}
    return (await api.post("/opa/bundles", body, status)).json


async def send_file(
    api: Caller, content: bytes, file_name: str = "gate.rego", status: int = 201, **fields: str
) -> Answer:
    body = form_body(content, f'name="file"; filename="{file_name}"', **fields)
    return await api.post("/opa/bundles", data=io.BytesIO(body), headers=FORM, status=status)


async def activate(api: Caller, bundle: Any, status: int = 200) -> Any:
    answer = await api.send("PUT", f"/opa/bundles/{bundle['id']}/activate")
    assert answer.status == status, answer.text
    return answer.json


async def make_active(api: Caller, rego: str = GATE, **fields: Any) -> Any:
    return await activate(api, await upload(api, rego, **fields))


async def evaluate(api: Caller, status: int = 200, **fields: Any) -> Any:
    stated = {} if fields.keys() & {"trailId", "artifactDigest"} else GOOD
    return (await api.post("/opa/evaluate", {**stated, **fields}, status)).json


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()
