"""Reports of scanners that come with a scan: what is read from them, and what is refused."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from api.http import evidence_parsing
from domain.identity.permissions import Permission
from storage.services import Services
from tests.api.caller import Caller, make_holder
from tests.api.gates.scanning import attestations, content, new_trail, report, scan, scans, send
from tests.api.uploading import FORM, form_body

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEVERITIES = ("critical", "high", "medium", "low")
REPORTS: Mapping[tuple[str, str], tuple[int, int, int, int, int]] = {
    ("trivy", "image__vulnerable"): (2, 0, 1, 0, 1),
    ("trivy", "image__clean"): (0, 0, 0, 0, 0),
    ("trivy", "repository__nothing"): (0, 0, 0, 0, 0),
    ("trivy", "repository__all_scanners"): (1, 1, 0, 1, 0),
    ("snyk", "npm__vulnerable"): (2, 0, 2, 0, 0),
    ("snyk", "maven__all_projects"): (0, 1, 0, 1, 0),
    ("sarif", "trivy__image"): (1, 0, 2, 0, 0),
    ("sarif", "gosec__clean"): (0, 0, 0, 0, 0),
}


def counts(made: Any) -> tuple[int, ...]:
    return (*(made[f"{severity}Vulnerabilities"] for severity in SEVERITIES), made["informational"])


@pytest.mark.parametrize(("folder", "name"), REPORTS)
async def test_counts_are_read_from_a_report(api: Caller, folder: str, name: str) -> None:
    trail = await new_trail(api)
    made = await scan(api, trail, report=report(folder, name))
    assert counts(made) == REPORTS[folder, name]
    assert made["report"]["format"] == folder
    again = (await send(api, trail, content(folder, name), tool="trivy")).json
    assert counts(again) == REPORTS[folder, name]
    assert again["report"] == made["report"] | {
        "sha256Hash": again["report"]["sha256Hash"],
        "fileSizeBytes": len(content(folder, name)),
    }


async def test_a_report_is_kept_as_evidence(api: Caller) -> None:
    trail, file = await new_trail(api), content("trivy", "image__vulnerable")
    made = (await send(api, trail, file, scan=json.dumps({"tool": "trivy", "criticalCount": 2}))).json
    assert not made["passed"]
    [kept] = (await api.get(f"/trails/{trail}/attestations/{made['attestationId']}/evidence")).json
    assert (kept["fileName"], kept["contentType"]) == ("report.json", "application/json")
    assert (await api.get(f"/evidence/{made['report']['sha256Hash']}")).text == file.decode()
    assert await attestations(api, trail) == [("SECURITY_SCAN", "trivy", "FAILED"), ("trivy", None, "FAILED")]


async def test_a_report_in_the_body_is_kept_as_evidence(api: Caller) -> None:
    trail, document = await new_trail(api), report("snyk", "maven__all_projects")
    made = await scan(api, trail, tool="snyk", report=document)
    assert (await api.get(f"/evidence/{made['report']['sha256Hash']}")).json == document


@pytest.mark.parametrize(
    ("folder", "name", "given", "named"),
    [
        ("trivy", "image__vulnerable", {"criticalVulnerabilities": 1}, "criticalVulnerabilities: is 1, but the .* 2"),
        ("trivy", "image__vulnerable", {"criticalCount": 2, "mediumCount": 0}, "mediumCount: is 0, but the .* 1"),
        ("snyk", "npm__vulnerable", {"summary": {"medium": 3}}, r"summary\.medium: is 3, but the .* 2"),
        ("sarif", "trivy__image", {"highVulnerabilities": 1}, "highVulnerabilities: is 1, but the .* 0"),
    ],
)
async def test_a_count_that_is_not_the_reports_is_refused(
    api: Caller, folder: str, name: str, given: dict[str, Any], named: str
) -> None:
    trail = await new_trail(api)
    body = {"tool": "trivy", **given}
    path = f"/trails/{trail}/security-scans"
    answers = [
        await api.post(path, body | {"report": report(folder, name)}, 422),
        await send(api, trail, content(folder, name), 422, scan=json.dumps(body)),
    ]
    for answer in answers:
        assert re.match(named, answer.json["message"]), answer.text
        assert answer.fields == [named.partition(":")[0].replace("\\", "")]
    assert (await scans(api, trail), await attestations(api, trail)) == ([], [])
    assert (await api.get(f"/trails/{trail}/evidence")).json == []


@pytest.mark.parametrize("part", ["passed", "criticalVulnerabilities", "summary", "taget"])
async def test_a_part_that_would_not_count_is_refused(api: Caller, part: str) -> None:
    trail = await new_trail(api)
    answer = await send(api, trail, content("trivy", "image__clean"), 400, tool="trivy", **{part: "false"})
    assert answer.fields == [part]
    assert (await scans(api, trail), await attestations(api, trail)) == ([], [])


@pytest.mark.parametrize(
    ("folder", "name", "reason"),
    [
        ("sarif", "scanner__crashed", "The tool reports"),
        ("snyk", "error__no_manifest", None),
    ],
)
async def test_a_report_that_proves_nothing_does_not_pass(
    api: Caller, folder: str, name: str, reason: str | None
) -> None:
    trail, document = await new_trail(api), report(folder, name)
    if reason is None:
        await scan(api, trail, 422, report=document)
        return
    made = await scan(api, trail, report=document)
    assert (made["passed"], made["thresholdBreached"]) == (False, False)
    assert made["failureReason"].startswith(reason)


HOSTILE: Mapping[str, bytes] = {
    "nothing": b"",
    "blank": b" ",
    "no JSON": b"<xml/>",
    "NaN": b'{"SchemaVersion": 2, "ArtifactName": "a", "Results": NaN}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep and whole": b'{"runs": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    "a number": b"7",
    "no report": b"{}",
    "an empty list": b"[]",
    "a list of numbers": b"[1]",
    "another schema": b'{"SchemaVersion": 1, "ArtifactName": "a", "Results": []}',
    "a schema as text": b'{"SchemaVersion": "2", "ArtifactName": "a", "Results": []}',
    "a huge number": b'{"SchemaVersion": ' + b"9" * 5000 + b', "ArtifactName": "a"}',
    "results that are none": b'{"SchemaVersion": 2, "ArtifactName": "a", "Results": {}}',
    "findings that are none": b'{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Vulnerabilities": [3]}]}',
    "no artifact": b'{"SchemaVersion": 2, "Results": []}',
    "NUL": b"\0" * 100,
    "a surrogate": b'{"vulnerabilities": [], "x": "\\ud800"}',
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_file_that_cannot_be_read_is_refused(api: Caller, name: str) -> None:
    trail = await new_trail(api)
    assert (await send(api, trail, HOSTILE[name], 422, tool="trivy")).fields == ["file"]
    assert (await scans(api, trail), await attestations(api, trail)) == ([], [])


async def test_numbers_that_are_no_severities_are_unknown(api: Caller) -> None:
    values: list[Any] = [1e308, -1, [], {}, None, "critical", "?"]
    findings = [{"Severity": value} for value in values]
    document = {"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Vulnerabilities": findings}]}
    made = await scan(api, await new_trail(api), report=document)
    assert counts(made) == (1, 0, 0, 0, 6)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "tool"),
        ({"tool": " "}, "tool"),
        ({"scan": "{}"}, "scan.tool"),
        ({"scan": "{"}, "scan"),
        ({"scan": '{"tool": "trivy", "criticalCount": "1"}'}, "scan.criticalCount"),
        ({"scan": '{"tool": "trivy"}', "tool": "trivy"}, "tool"),
        ({"scan": '{"tool": "trivy", "report": {}}'}, "scan.report"),
        ({"tool": "trivy", "artifactFingerprint": "x"}, "artifactFingerprint"),
    ],
)
async def test_forms_that_are_refused(api: Caller, fields: dict[str, str], named: str) -> None:
    trail = await new_trail(api)
    assert (await send(api, trail, content("trivy", "image__clean"), 400, **fields)).fields == [named]
    no_file = form_body(b"x", 'name="tool"')
    answer = await api.post(f"/trails/{trail}/security-scans", data=no_file, headers=FORM, status=400)
    assert answer.fields == ["file"]


async def test_neither_scan_nor_report_is_refused(api: Caller) -> None:
    answer = await api.post(f"/trails/{await new_trail(api)}/security-scans", status=400)
    assert "part `file`" in answer.json["message"]


async def test_a_large_report_is_read_by_another_process(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_parsing, "MAX_IN_THREAD", 100)
    trail = await new_trail(api)
    assert counts((await send(api, trail, content("trivy", "image__vulnerable"), tool="trivy")).json) == (2, 0, 1, 0, 1)
    crashed = (await send(api, trail, content("sarif", "scanner__crashed"), tool="semgrep")).json
    assert crashed["failureReason"].startswith("The tool reports")
    assert (await send(api, trail, b"{" * 200, 422, tool="trivy")).fields == ["file"]


async def test_a_dry_run_reads_the_report_and_keeps_nothing(api: Caller, app_services: Services) -> None:
    trail, file = await new_trail(api), content("trivy", "repository__all_scanners")
    body = form_body(file, tool="trivy")
    answer = await api.post(f"/trails/{trail}/security-scans?dryRun=true", data=body, headers=FORM, status=200)
    assert counts(answer.json["wouldCreate"]) == (1, 1, 0, 1, 0)
    path = f"/trails/{trail}/security-scans?dryRun=true"
    await api.post(path, {"tool": "trivy", "report": report("trivy", "image__clean")}, 200)
    assert (await scans(api, trail), (await api.get(f"/trails/{trail}/evidence")).json) == ([], [])
    assert list(app_services.blobs.staging.iterdir()) == []


async def test_a_report_needs_the_right_to_write_evidence(api: Caller, app_services: Services) -> None:
    trail = await new_trail(api)
    holder = await make_holder(app_services, api.tenant, "reporter", [Permission.FACTS_REPORT])
    reporter = replace(api, key=holder.key)
    await scan(reporter, trail)
    await scan(reporter, trail, 403, report=report("trivy", "image__clean"))
    await send(reporter, trail, content("trivy", "image__clean"), 403, tool="trivy")
    assert len(await scans(api, trail)) == 1
