"""Evidence files on the wire: what is kept, what is read, and what is refused."""

import asyncio
import base64
import gzip
import hashlib
import json
import os
import time
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from api.http.evidence_parsing import EvidenceParsers
from storage.blobs.sweep import sweep_blobs
from storage.services import Services, open_services
from tests.api.caller import Caller, found_organisation, unique
from tests.api.times import assert_times
from tests.api.uploading import FORM, Attested, fetch, form_body, objects, staged
from tests.api.world import make_world
from tests.conftest import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHA_OF_A = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
_IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
"""
JUNIT = '<testsuite tests="{tests}" failures="{failures}" errors="0" skipped="0">{cases}</testsuite>'


def junit(*failed: bool) -> bytes:
    cases = "".join(f'<testcase name="{n}">{"<failure/>" if bad else ""}</testcase>' for n, bad in enumerate(failed))
    return JUNIT.format(tests=len(failed), failures=sum(failed), cases=cases).encode()


def unlike_any() -> bytes:
    return uuid4().bytes


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_an_upload_has_every_field_of_the_entity(api: Caller) -> None:
    attested = await Attested.made(api)
    made = (await attested.send(b"a", 'name="file"; filename="a.txt"', media="text/plain; charset=utf-8")).json
    assert_times(made, "storedAt")
    assert {key: made[key] for key in made if key not in {"id", "storedAt"}} == {
        "attestationId": attested.id,
        "trailId": attested.trail_id,
        "fileName": "a.txt",
        "sha256Hash": SHA_OF_A,
        "fileSizeBytes": 1,
        "contentType": "text/plain; charset=utf-8",
        "externalUrl": None,
    }
    shown = await attested.shown()
    assert (shown["evidenceFileHash"], shown["evidenceFileName"], shown["evidenceFileSizeBytes"]) == (
        SHA_OF_A,
        "a.txt",
        1,
    )
    assert shown["status"] == "PENDING"


async def test_the_attestation_shows_its_last_file_and_the_lists_show_all(api: Caller) -> None:
    attested = await Attested.made(api)
    made = [
        (await attested.send(content, f'name="file"; filename="{content.decode()}"')).json for content in (b"b", b"a")
    ]
    assert (await attested.shown())["evidenceFileName"] == "a"
    for path in (attested.path, f"/attestations/{attested.id}/evidence", f"/trails/{attested.trail_id}/evidence"):
        answer = await api.get(path)
        assert answer.json == made
        assert answer.headers["X-Total-Count"] == "2"
        first = await api.get(f"{path}?size=1")
        assert first.json == made[:1]
        assert (await api.get(first.headers["Link"].partition(">")[0][1:])).json == made[1:]


@pytest.mark.parametrize(
    "path",
    [
        "/trails/{trail}/attestations/{other}/evidence",
        "/trails/{other}/attestations/{attestation}/evidence",
        "/trails/{elsewhere}/attestations/{attestation}/evidence",
        "/attestations/{other}/evidence",
        "/trails/{other}/evidence",
    ],
)
async def test_what_does_not_belong_together_is_404(api: Caller, app_services: Services, path: str) -> None:
    attested, content = await Attested.made(api), unlike_any()
    elsewhere = await Attested.made(api)
    names = {"trail": attested.trail_id, "attestation": attested.id, "elsewhere": elsewhere.trail_id, "other": uuid4()}
    url = path.format(**names)
    await api.get(url, status=404)
    if "attestations/" in url and "trails" in url:
        await api.post(url, data=form_body(content), headers=FORM, status=404)
        await api.post(url, reference(), status=404)
    assert f"sha256:{sha(content)}" not in objects(app_services.blobs)


async def test_the_alias_takes_forms_json_and_text(api: Caller) -> None:
    attested = await Attested.made(api)
    path = f"/evidence/{attested.id}"
    form = await api.post(path, data=form_body(b"a"), headers=FORM)
    raw = b'{ "issueRef": "PROJ-1" }'
    whole = await api.post(path, data=raw, headers={"Content-Type": "application/json"})
    text = await api.post(path, data=b"PROJ-2", headers={"Content-Type": "text/plain; charset=latin-1"}, status=400)
    assert text.fields == ["Content-Type"]
    text = await api.post(path, data=b"PROJ-2", headers={"Content-Type": "text/plain"})
    assert [one.json["sha256Hash"] for one in (form, whole, text)] == [SHA_OF_A, sha(raw), sha(b"PROJ-2")]
    assert [one.json["fileName"] for one in (form, whole, text)] == ["a.txt", "file", "file"]
    assert [one.json["contentType"] for one in (whole, text)] == ["application/json", "text/plain"]
    await api.post(path, data=b"x", headers={"Content-Type": "image/svg+xml"}, status=415)
    await api.post(path, data=b"", headers={"Content-Type": "text/plain"}, status=400)
    await api.post(f"/evidence/{uuid4()}", data=b"x", headers={"Content-Type": "text/plain"}, status=404)
    await api.post("/evidence/not-a-uuid", data=b"x", headers={"Content-Type": "text/plain"}, status=404)


READ = [
    ("junit", junit(False, False), "PASSED"),
    ("JUnit", junit(False, True), "FAILED"),
    ("junit", b"<testsuite", "FAILED"),
    ("junit", junit(), "FAILED"),
    ("snyk", b'{"runs": [{"results": []}]}', "PASSED"),
    ("snyk", b'{"runs": [{"results": [{}]}]}', "FAILED"),
    ("sarif", b'{"version": "2.0.0", "runs": [{"results": []}]}', "FAILED"),
    ("sarif", b'{"runs": [{"results": [{"level": "note"}]}]}', "PASSED"),
    ("sarif", b'{"runs": [{"results": [{"kind": "review"}]}]}', "PENDING"),
    ("snyk", b"{}", "FAILED"),
    ("sonar", b'{"projectStatus": {"status": "OK"}}', "PASSED"),
    ("sonar", b'{"projectStatus": {"status": "ERROR"}}', "FAILED"),
    ("jira", b"PROJ-123", "PASSED"),
    ("jira", b"x", "FAILED"),
    ("archive", b"PROJ-123", "PENDING"),
]


@pytest.mark.parametrize(("type_", "content", "status"), READ)
async def test_a_file_that_is_read_gives_a_result(api: Caller, type_: str, content: bytes, status: str) -> None:
    attested = await Attested.made(api, type_, details="as reported")
    made = (await attested.send(content)).json
    shown = await attested.shown()
    assert shown["status"] == status
    expected = {"PASSED": "COMPLIANT", "FAILED": "NON_COMPLIANT", "PENDING": None}[status]
    assert expected is None or await api.status_of(attested.trail_id) == expected
    events = (await api.get(f"/audit?trailId={attested.trail_id}&eventType=ATTESTATION_PROCESSED")).json["events"]
    if type_ == "archive":
        assert (shown["details"], events) == ("as reported", [])
    else:
        assert json.loads(shown["details"])
        assert ": " not in shown["details"].partition('"error"')[0]
        assert len(events) == 1
        assert made["sha256Hash"] == sha(content)


async def test_a_later_file_is_a_later_result_and_the_trail_follows(api: Caller) -> None:
    attested = await Attested.made(api, "junit")
    for failed, status in ((True, "NON_COMPLIANT"), (False, "COMPLIANT"), (True, "NON_COMPLIANT")):
        await attested.send(junit(False, failed))
        assert await api.status_of(attested.trail_id) == status
    assert len((await api.get(attested.path)).json) == 3


def named(name: str) -> str:
    return f'name="file"; filename="{name}"'


FILES: dict[str, tuple[str, list[tuple[str, bytes]], str]] = {
    "the last file does not decide alone": ("PENDING", [("A.xml", junit(True)), ("B.xml", junit(False))], "FAILED"),
    "a file of the same name replaces": ("PENDING", [("A.xml", junit(True)), ("A.xml", junit(False))], "PASSED"),
    "all files passed": ("PENDING", [("A.xml", junit(False)), ("B.xml", junit(False))], "PASSED"),
    "no file overrules a failure that was reported": ("FAILED", [("A.xml", junit(False))], "FAILED"),
    "a file may be worse than the report": ("PASSED", [("A.xml", junit(True)), ("B.xml", junit(False))], "FAILED"),
}


@pytest.mark.parametrize("case", FILES)
async def test_the_worst_of_report_and_files_counts(api: Caller, case: str) -> None:
    report, files, status = FILES[case]
    attested = await Attested.made(api, "junit", status=report, details="as reported")
    for name, content in files:
        await attested.send(content, named(name))
    shown = await attested.shown()
    assert shown["status"] == status
    assert await api.status_of(attested.trail_id) == ("COMPLIANT" if status == "PASSED" else "NON_COMPLIANT")
    if report == "FAILED":
        assert shown["details"] == "as reported"
    else:
        assert json.loads(shown["details"])["failures"] == int(status == "FAILED")
    path = f"/trails/{attested.trail_id}/attestations"
    assert [one["status"] for one in (await api.get(path)).json] == [status]
    assert len((await api.get(f"{path}?status={status}")).json) == 1


async def test_a_file_that_is_not_parsed_leaves_the_status_alone(api: Caller) -> None:
    attested = await Attested.made(api, "archive", status="FAILED", details="as reported")
    await attested.send(junit(False), named("A.xml"))
    shown = await attested.shown()
    assert (shown["status"], shown["details"]) == ("FAILED", "as reported")


async def test_a_result_names_its_evidence_and_processor(api: Caller, app_services: Services) -> None:
    attested = await Attested.made(api, "JUnit")
    made = (await attested.send(junit(True))).json
    async with app_services.database.read() as reader:
        rows = await reader.rows(
            "SELECT n, evidence_id, processor FROM attestation_results WHERE attestation_id = $1 ORDER BY n",
            UUID(attested.id),
        )
    assert [(row["n"], row["evidence_id"], row["processor"]) for row in rows] == [
        (1, None, None),
        (2, UUID(made["id"]), "junit"),
    ]


HOSTILE_NAMES = [
    ('"../../x"', "x"),
    ('"..\\\\..\\\\x"', "x"),
    ('"/etc/passwd"', "passwd"),
    ('".."', "file"),
    ('"."', "file"),
    ('""', "file"),
    ('"a\x01\x7fb"', "ab"),
    (f'"{"n" * 300}"', "n" * 255),
    ('"ä €.txt"', "ä €.txt"),
    ("x; filename*=UTF-8''%2e%2e%2fy%0d%0aX-Evil%3A%201", "yX-Evil: 1"),
]


@pytest.mark.parametrize(("sent", "kept"), HOSTILE_NAMES)
async def test_a_file_name_is_shown_and_never_a_path(api: Caller, app_services: Services, sent: str, kept: str) -> None:
    attested, content = await Attested.made(api), unlike_any()
    made = (await attested.send(content, f'name="file"; filename={sent}')).json
    assert made["fileName"] == kept
    store = app_services.blobs
    assert store.path(f"sha256:{sha(content)}").read_bytes() == content
    assert {path.name for path in store.staging.parent.iterdir()} == {"sha256", "staging"}
    assert staged(store) == []


async def test_a_file_without_a_name_is_called_as_its_part(api: Caller) -> None:
    assert (await (await Attested.made(api)).send(b"a", 'name="file"')).json["fileName"] == "file"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("text/" + "x" * 300, "application/octet-stream"),
        ("application/vnd.x+json; v=1", "application/vnd.x+json; v=1"),
    ],
)
async def test_a_media_type_that_is_none_is_bytes(api: Caller, sent: str, kept: str) -> None:
    assert (await (await Attested.made(api)).send(b"a", media=sent)).json["contentType"] == kept


async def test_nothing_is_kept_of_an_empty_or_missing_file(api: Caller, app_services: Services) -> None:
    attested = await Attested.made(api)
    refused = await attested.send(b"", status=400)
    assert (refused.fields, refused.json["details"][0]["message"]) == (["file"], "empty file")
    assert (await attested.send(b"x", 'name="other"', status=400)).fields == ["file"]
    await api.post(attested.path, status=400)
    await api.post(attested.path, data=b"x", headers={"Content-Type": "text/plain"}, status=415)
    assert await attested.names() == []
    assert staged(app_services.blobs) == []


def declarations(content: bytes) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Ways to say which hash a file has: headers, form fields."""
    digest = hashlib.sha256(content)
    encoded = base64.b64encode(digest.digest()).decode()
    return [
        ({"X-Content-SHA256": digest.hexdigest()}, {}),
        ({"x-content-sha256": f"SHA256:{digest.hexdigest().upper()}"}, {}),
        ({"Digest": f"sha-256={encoded}"}, {}),
        ({"Digest": f"md5=abc, SHA-256={encoded}"}, {}),
        ({"Digest": f"sha-256=:{encoded}:"}, {}),
        ({}, {"sha256": digest.hexdigest()}),
        ({}, {"sha256": f"sha256:{digest.hexdigest()}"}),
    ]


@pytest.mark.parametrize("way", range(7))
async def test_a_file_must_have_the_hash_it_was_said_to_have(api: Caller, app_services: Services, way: int) -> None:
    attested, content = await Attested.made(api, "jira"), unlike_any()
    headers, fields = declarations(b"another file")[way]
    refused = await attested.send(content, headers=headers, status=422, **fields)
    assert sha(content) in refused.json["message"]
    assert (await attested.shown())["status"] == "PENDING"
    assert await attested.names() == []
    assert (staged(app_services.blobs), f"sha256:{sha(content)}" in objects(app_services.blobs)) == ([], False)
    headers, fields = declarations(content)[way]
    await attested.send(content, headers=headers, **fields)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Content-SHA256", "abc"),
        ("X-Content-SHA256", "g" * 64),
        ("Digest", "sha-256=!!"),
        ("Digest", "sha-256=YWJj"),
        ("Digest", "md5=abc"),
        ("Digest", ""),
    ],
)
async def test_a_hash_that_is_none_is_refused(api: Caller, header: str, value: str) -> None:
    attested = await Attested.made(api)
    assert (await attested.send(b"a", headers={header: value}, status=400)).fields == ["X-Content-SHA256"]
    assert (await attested.send(b"a", status=400, sha256="abc")).fields == ["sha256"]


def reference(**changes: Any) -> dict[str, Any]:
    body = {"externalUrl": "https://ci.example.com/1/report.xml?x=1", "sha256Hash": SHA_OF_A, "fileSizeBytes": 7}
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


async def test_a_reference_is_recorded_and_never_fetched(api: Caller) -> None:
    attested = await Attested.made(api, "junit")
    made = (await api.post(attested.path, reference(sha256Hash=SHA_OF_A.upper()))).json
    assert {key: made[key] for key in made if key not in {"id", "storedAt"}} == {
        "attestationId": attested.id,
        "trailId": attested.trail_id,
        "fileName": "report.xml",
        "sha256Hash": SHA_OF_A,
        "fileSizeBytes": 7,
        "contentType": "application/octet-stream",
        "externalUrl": "https://ci.example.com/1/report.xml?x=1",
    }
    named = {"externalUrl": None, "evidenceUrl": "http://x", "fileName": "../a b.xml", "contentType": "text/xml"}
    second = (await api.post(attested.path, reference(**named))).json
    assert (second["externalUrl"], second["fileName"], second["contentType"]) == ("http://x", "a b.xml", "text/xml")
    assert (await attested.shown())["status"] == "PENDING", "what nobody read says nothing"
    assert (await attested.shown())["evidenceFileName"] == "a b.xml"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            ("externalUrl", bad)
            for bad in ("", "x", "ftp://x/y", "javascript:alert(1)", "https://", "//x/y", "http://[")
        ],
        *[("externalUrl", bad) for bad in ("https://u:p@x/", "https://u@x/", "https://x/a b", "https://x/\u0001")],
        ("externalUrl", "https://x/" + "y" * 2048),
        ("sha256Hash", "abc"),
        ("sha256Hash", "sha512:" + "a" * 64),
        ("fileSizeBytes", 0),
        ("fileSizeBytes", -1),
        ("fileSizeBytes", 2**63),
        ("fileSizeBytes", "7"),
        ("fileName", "x" * 256),
        ("contentType", "x" * 256),
    ],
)
async def test_a_reference_that_is_none_is_refused(api: Caller, field: str, value: Any) -> None:
    attested = await Attested.made(api)
    assert (await api.post(attested.path, reference(**{field: value}), status=400)).fields[0] in {field, ""}
    for missing in ("externalUrl", "sha256Hash", "fileSizeBytes"):
        assert (await api.post(attested.path, reference(**{missing: None}), status=400)).fields == [missing]
    assert await attested.names() == []


async def test_the_same_content_is_stored_once(api: Caller, app_services: Services) -> None:
    content = unlike_any() * 1000
    several = [await Attested.made(api) for _ in range(4)]
    made = await asyncio.gather(
        *(one.send(content, f'name="file"; filename="{n}"') for n, one in enumerate(several * 3))
    )
    assert {one.json["sha256Hash"] for one in made} == {sha(content)}
    assert len({one.json["id"] for one in made}) == 12
    async with app_services.database.read() as reader:
        [row] = await reader.rows("SELECT size, backend FROM blobs WHERE digest = $1", f"sha256:{sha(content)}")
    assert (row["size"], row["backend"]) == (len(content), "local")
    assert app_services.blobs.path(f"sha256:{sha(content)}").read_bytes() == content
    assert staged(app_services.blobs) == []


async def test_a_dry_run_reads_the_file_and_keeps_nothing(api: Caller, app_services: Services) -> None:
    attested, content = await Attested.made(api, "junit"), junit(True) + b"<!-- %s -->" % uuid4().hex.encode()
    dry = {"X-Dry-Run": "true"}
    before = objects(app_services.blobs), (await api.get("/audit")).json["totalElements"]
    for sent in (
        await attested.send(content, headers=dry, status=200),
        await api.post(f"/evidence/{attested.id}", data=content, headers=dry, status=200),
    ):
        assert sent.json["wouldCreate"]["sha256Hash"] == sha(content)
    assert (await api.post(attested.path, reference(), status=200, headers=dry)).json["dryRun"] is True
    await attested.send(content, headers={**dry, "X-Content-SHA256": "0" * 64}, status=422)
    assert (objects(app_services.blobs), (await api.get("/audit")).json["totalElements"]) == before
    assert (await attested.names(), staged(app_services.blobs)) == ([], [])
    assert (await attested.shown())["status"] == "PENDING"


async def test_an_upload_is_audited_with_its_hash(api: Caller) -> None:
    attested = await Attested.made(api)
    made = (await attested.send(b"a")).json
    events = (await api.get(f"/audit?trailId={attested.trail_id}&eventType=EVIDENCE_UPLOADED")).json["events"]
    [event] = events
    payload = event["payload"] if isinstance(event["payload"], dict) else json.loads(event["payload"])
    assert (payload["evidenceId"], payload["sha256Hash"], payload["fileName"]) == (made["id"], SHA_OF_A, "a.txt")


async def test_another_organisation_sees_nothing_of_it(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    """Not by its id, not by its hash, and not by claiming to have the same content elsewhere."""
    attested, content = await Attested.made(api), unlike_any()
    made = (await attested.send(content)).json
    stranger = await found_organisation(http, app_services)
    await stranger.get(f"/evidence/{made['sha256Hash']}", status=404)
    await stranger.get(f"/evidence/{made['id']}/verify", status=404)
    own = await Attested.made(stranger)
    await stranger.post(own.path, reference(sha256Hash=made["sha256Hash"], fileSizeBytes=len(content)))
    answer = await fetch(stranger, f"/evidence/{made['sha256Hash']}")
    assert content not in answer.body
    assert json.loads(answer.body)["externalUrl"] == reference()["externalUrl"]
    assert len((await api.get(attested.path)).json) == 1


async def test_size_and_number_have_limits(installation: Installation, tmp_path: Any) -> None:
    settings = installation.settings(tmp_path, evidence_max_size=300_000, evidence_max_files=2)
    async with (
        open_services(settings, "test limits") as services,
        TestClient(TestServer(build_app(services))) as client,
    ):
        api = await found_organisation(client, services)
        attested = await Attested.made(api)
        raw = {"Content-Type": "text/plain"}
        for size in (300_001, 900_000):
            refused = await attested.send(b"x" * size, status=413)
            assert "300000 bytes" in refused.json["message"]
            await api.post(f"/evidence/{attested.id}", data=b"x" * size, headers=raw, status=413)
            await api.post(f"/evidence/{attested.id}", data=drip(b"x" * size), headers=raw, status=413)
            await api.post(attested.path, data=drip(form_body(b"x" * size)), headers=FORM, status=413)
        assert await attested.names() == []
        await attested.send(b"x" * 300_000)
        await api.post(f"/evidence/{attested.id}", data=b"x" * 300_000, headers=raw)
        for again in (attested.send(b"y", status=409), api.post(attested.path, reference(), status=409)):
            assert "which is the maximum" in (await again).json["message"]
        assert f"sha256:{sha(b'y')}" not in objects(services.blobs)
        assert staged(services.blobs) == []


async def test_a_compressed_upload_is_inflated_up_to_the_limit_and_no_further(
    installation: Installation, tmp_path: Any
) -> None:
    """What a bomb inflates to beyond the limit costs nothing: not read, not hashed, not written."""
    settings = installation.settings(tmp_path, evidence_max_size=300_000)
    async with (
        open_services(settings, "test bomb") as services,
        TestClient(TestServer(build_app(services))) as client,
    ):
        attested = await Attested.made(await found_organisation(client, services))
        packed = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}

        async def seconds(size: int, status: int) -> float:
            body, before = gzip.compress(bytes(size), 1), time.process_time()
            await attested.api.post(f"/evidence/{attested.id}", data=body, headers=packed, status=status)
            return time.process_time() - before

        await seconds(300_000, 201)
        small = min([await seconds(1 << 20, 413) for _ in range(5)])
        large = min([await seconds(1 << 26, 413) for _ in range(3)])
        assert large < 10 * small + 0.05, "64 times as large"
        assert staged(services.blobs) == []


async def drip(body: bytes, part: int = 50_000) -> Any:
    """Chunked, so that no length is promised."""
    for start in range(0, len(body), part):
        yield body[start : start + part]


async def test_many_at_once_do_not_exceed_the_number(installation: Installation, tmp_path: Any) -> None:
    settings = installation.settings(tmp_path, evidence_max_files=3)
    async with (
        open_services(settings, "test race") as services,
        TestClient(TestServer(build_app(services))) as client,
    ):
        attested = await Attested.made(await found_organisation(client, services))
        sending = (
            client.post(f"/api/v1{attested.path}", data=form_body(b"%d" % n), headers=own(attested)) for n in range(8)
        )
        statuses = sorted([response.status for response in await asyncio.gather(*sending)])
        assert statuses == [201] * 3 + [409] * 5
        assert len(await attested.names()) == 3


def own(attested: Attested) -> dict[str, str]:
    return {**FORM, "X-Api-Key": str(attested.api.key)}


async def upload_by_hand(attested: Attested, length: int, body: bytes) -> bytes:
    """A request whose promised length need not be true, cut off where more is promised; the answer's first line."""
    reader, writer = await asyncio.open_connection(attested.api.client.host, attested.api.client.port)
    lines = [f"POST /api/v1{attested.path} HTTP/1.1", "Host: t", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in own(attested).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
    if length > len(body):
        writer.write_eof()
    answer = await asyncio.wait_for(reader.readline(), 5)
    writer.transport.abort()
    return answer


@pytest.mark.parametrize("lie", [-1000, -5, 1, 2_000, 1_000_000])
async def test_a_length_that_is_a_lie_records_nothing(api: Caller, app_services: Services, lie: int) -> None:
    attested, body = await Attested.made(api), form_body(b"x" * 50_000)
    answer = await upload_by_hand(attested, len(body) + lie, body)
    assert b"400" in answer if lie < 0 else not answer
    for _ in range(100):
        if not staged(app_services.blobs):
            break
        await asyncio.sleep(0.02)
    assert staged(app_services.blobs) == []
    assert await attested.names() == []


async def test_an_upload_that_breaks_off_leaves_no_row_and_no_file(api: Caller, app_services: Services) -> None:
    attested, store = await Attested.made(api), app_services.blobs
    _, writer = await asyncio.open_connection(api.client.host, api.client.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in own(attested).items())
    request = f"POST /api/v1{attested.path} HTTP/1.1\r\nHost: t\r\n{head}Content-Length: 9000000\r\n\r\n"
    writer.write(request.encode() + form_body(b"x" * 3_000_000)[:-20])
    await writer.drain()
    for _ in range(200):
        if staged(store):
            break
        await asyncio.sleep(0.01)
    assert len(staged(store)) == 1
    writer.transport.abort()
    for _ in range(200):
        if not staged(store):
            break
        await asyncio.sleep(0.01)
    assert (staged(store), await attested.names()) == ([], [])


async def test_what_a_killed_process_left_is_swept(api: Caller, app_services: Services) -> None:
    """Killed while it streamed, and killed between the object and its row: the parts are called as the upload does."""
    await make_world(api, "evidence_id")
    store, content = app_services.blobs, unlike_any()
    half, whole = store.staging / "upload-half", store.staging / "upload-whole"
    half.write_bytes(b"x")
    whole.write_bytes(content)
    digest = f"sha256:{sha(content)}"
    await store.promote(whole, digest)
    past = (app_services.clock.now() - timedelta(hours=2)).timestamp()
    for path in (half, store.path(digest)):
        os.utime(path, (past, past))
    before = objects(store)
    async for _ in sweep_blobs(app_services.database, store):
        pass
    assert objects(store) == before - {digest}
    assert staged(store) == []


async def test_an_upload_that_is_sent_again_under_its_key_is_one(api: Caller, app_services: Services) -> None:
    """The answer is kept in the upload's own transaction; of the second request's file nothing stays behind."""
    attested, content, key = await Attested.made(api, "jira"), unlike_any(), {"Idempotency-Key": uuid4().hex}
    first = await attested.send(content, headers=key)
    again = await attested.send(content, headers=key)
    assert (again.json, again.headers["Idempotency-Replayed"]) == (first.json, "true")
    assert len(await attested.names()) == 1
    assert staged(app_services.blobs) == []
    await attested.send(content + b"x", headers=key, status=422)
    assert (await fetch(api, f"/evidence/{sha(content)}")).body == content


async def test_a_structured_media_type_is_taken_as_json_is(api: Caller) -> None:
    attested = await Attested.made(api, "sarif")
    raw = {"Content-Type": "application/sarif+json"}
    made = (await api.post(f"/evidence/{attested.id}", data=b'{"runs": [{"results": []}]}', headers=raw)).json
    assert made["contentType"] == "application/sarif+json"
    assert (await attested.shown())["status"] == "PASSED"


@pytest.mark.parametrize("key", [None, "key"], ids=["plain", "with a key"])
async def test_a_file_is_parsed_before_any_transaction(
    api: Caller, app_services: Services, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """Else a slow file would hold a connection, and with it the locks of a request that has an Idempotency-Key."""
    at_work: list[int] = []

    async def parse(self: EvidenceParsers, *_: Any) -> None:
        async with app_services.database.read() as reader:
            at_work.append(await reader.value(_IN_TRANSACTION))

    monkeypatch.setattr(EvidenceParsers, "parse", parse)
    attested = await Attested.made(api, "junit")
    headers = {"Idempotency-Key": unique(key)} if key else {}
    for _ in range(2):
        await attested.send(junit(False), headers=headers)
    assert at_work == [0] * (1 if key else 2), "a repeated request is answered without parsing the file again"
