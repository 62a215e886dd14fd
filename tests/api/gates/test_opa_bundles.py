"""OPA bundles on the wire: uploaded, activated, deactivated and deleted."""

import asyncio
import io
import tarfile
import zipfile
from typing import Any

import asyncpg
import pytest

from api.http.calls import SERVICES
from tests.api.caller import Caller, unique
from tests.api.gates.opa import GATE, activate, evaluate, make_active, send_file, tarred, upload, zipped
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_bundle_is_uploaded_and_read(api: Caller) -> None:
    name = unique("release")
    made = await upload(api, name=name, version="1.4.0", orgSlug=api.tenant.org_slug, data={"limits": {"n": 1}})
    assert_times(made, "createdAt", "updatedAt")
    assert {key: value for key, value in made.items() if key not in {"id", "createdAt", "updatedAt", "sha256"}} == {
        "name": name,
        "version": "1.4.0",
        "regoContent": GATE,
        "modules": [{"path": "policy.rego", "text": GATE}],
        "data": {"limits": {"n": 1}},
        "rules": ["data.release.allow", "data.release.deny"],
        "status": "INACTIVE",
        "orgSlug": api.tenant.org_slug,
        "revision": 1,
        "activatedAt": None,
    }
    answer = await api.get(f"/opa/bundles/{made['id']}")
    assert (answer.json, answer.headers["ETag"]) == (made, '"1"')
    assert (await api.get(f"/opa/bundles?name={name}")).json == [made]


async def test_activating_a_second_one_deactivates_the_first(api: Caller) -> None:
    name = unique("release")
    first, second = [await upload(api, name=name, version=version) for version in ("1", "2")]
    await activate(api, first)
    assert (await activate(api, second))["status"] == "ACTIVE"
    assert (await api.get(f"/opa/bundles/{first['id']}")).json["status"] == "INACTIVE"
    assert [one["id"] for one in (await api.get(f"/opa/bundles?name={name}&active=true")).json] == [second["id"]]
    names = [one["eventType"] for one in (await api.get("/audit?size=6")).json["events"]]
    assert names[:3] == ["OPA_BUNDLE_ACTIVATED", "OPA_BUNDLE_DEACTIVATED", "OPA_BUNDLE_ACTIVATED"]


async def test_of_many_activations_at_once_one_is_left(api: Caller) -> None:
    name = unique("release")
    made = [await upload(api, name=name, version=str(n)) for n in range(6)]
    await asyncio.gather(*(activate(api, one) for one in made))
    assert len((await api.get(f"/opa/bundles?name={name}&active=true")).json) == 1


async def test_the_same_content_is_the_same_bundle(api: Caller) -> None:
    name = unique("release")
    made = await upload(api, name=name)
    assert await upload(api, name=name, status=200) == made
    assert (await send_file(api, zipped({"policy.rego": GATE}), "x.zip", 200, name=name, version="1")).json == made
    await upload(api, GATE + "# other", name=name, status=409)


async def test_an_active_bundle_is_not_deleted(api: Caller) -> None:
    made = await make_active(api)
    path = f"/opa/bundles/{made['id']}"
    assert (await api.send("DELETE", path)).status == 409
    assert (await api.send("PUT", f"{path}/deactivate")).json["status"] == "INACTIVE"
    assert (await api.send("DELETE", path)).status == 204
    assert (await api.send("GET", path)).status == 404
    await activate(api, made, 404)
    await upload(api, name=made["name"])


async def test_a_change_of_another_version_is_refused(api: Caller) -> None:
    made = await make_active(api)
    for verb in ("activate", "deactivate"):
        answer = await api.send("PUT", f"/opa/bundles/{made['id']}/{verb}", headers={"If-Match": '"1"'})
        assert answer.status == 412


async def test_another_organisation_is_not_named(api: Caller) -> None:
    await upload(api, orgSlug="another", status=404)


@pytest.mark.parametrize("content", [b"package a\nallow = true\n", "\ufeffpackage a\nallow = true\n".encode()])
async def test_a_module_is_sent_as_a_file(api: Caller, content: bytes) -> None:
    name = unique("gate")
    made = (await send_file(api, content, f"{name}.rego")).json
    assert (made["name"], made["version"], made["rules"]) == (name, "1.0.0", ["data.a.allow"])
    assert made["modules"] == [{"path": f"{name}.rego", "text": "package a\nallow = true\n"}]


MEMBERS = {
    ".manifest": b'{"revision": "7"}',
    "README.md": b"Policies",
    "b/gate.rego": b"package b\nallow { data.a.limits.n == 1; data.top == 2 }",
    "a.rego": b'package a\ndeny["no"] { input.artifactName == "bad" }',
    "a/data.json": b'{"limits": {"n": 1}}',
    "data.json": b'{"top": 2}',
}


@pytest.mark.parametrize("pack", [zipped, tarred])
async def test_an_archive_has_modules_and_data(api: Caller, pack: Any) -> None:
    made = (await send_file(api, pack(MEMBERS), "gate.tar.gz", name=unique("gate"), version="2")).json
    assert [one["path"] for one in made["modules"]] == ["a.rego", "b/gate.rego"]
    assert made["regoContent"] == "\n".join(one["text"] for one in made["modules"])
    assert made["data"] == {"a": {"limits": {"n": 1}}, "top": 2}
    assert made["rules"] == ["data.a.deny", "data.b.allow"]
    await activate(api, made)
    assert (await evaluate(api, bundle=made["name"]))["resultAllow"] is True
    denied = await evaluate(api, bundle=made["name"], artifactName="bad")
    assert (denied["resultAllow"], denied["denyReasons"]) == (False, ["no"])


MODULE = b"package a\nallow = true"


def with_member(**fields: Any) -> bytes:
    """A tar file with one member that is no plain file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        member = tarfile.TarInfo("odd.rego")
        for name, value in fields.items():
            setattr(member, name, value)
        archive.addfile(member)
    return made.getvalue()


def linked() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        link = zipfile.ZipInfo("odd.rego")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return made.getvalue()


def twice() -> bytes:
    return zipped({"a.rego": MODULE, "b.rego": MODULE}).replace(b"b.rego", b"a.rego")


BAD_FILES: dict[str, tuple[Any, int, str]] = {
    "up": (lambda: zipped({"../a.rego": MODULE}), 400, "'../a.rego' has a name that is not a path inside"),
    "up in a tar": (lambda: tarred({"x/../../a.rego": MODULE}), 400, "'x/../../a.rego' has a name"),
    "absolute": (lambda: tarred({"/etc/a.rego": MODULE}), 400, "'/etc/a.rego' has a name"),
    "backslash": (lambda: zipped({"..\\a.rego": MODULE}), 400, "has a name"),
    "NUL": (lambda: zipped({"aaaa.rego": MODULE}).replace(b"aaaa.rego", b"a\0aa.rego"), 400, "has a name"),
    "long name": (lambda: zipped({"a" * 300 + ".rego": MODULE}), 400, "more than 200 characters"),
    "deep": (lambda: zipped({"a/" * 30 + "a.rego": MODULE}), 400, "or 16 folders"),
    "symbolic link": (lambda: with_member(type=tarfile.SYMTYPE, linkname="/etc/passwd"), 400, "'odd.rego' is a link"),
    "hard link": (lambda: with_member(type=tarfile.LNKTYPE, linkname="a.rego"), 400, "'odd.rego' is a link"),
    "device": (lambda: with_member(type=tarfile.CHRTYPE), 400, "'odd.rego' is a link or no file"),
    "link in a zip": (linked, 400, "'odd.rego' is encrypted, a link or no file"),
    "twice": (twice, 400, "'a.rego' is there twice"),
    "bomb": (lambda: zipped({"a.rego": b"#" * (64 << 20)}), 413, "1,048,576 bytes"),
    "bomb in a tar": (lambda: tarred({"a.rego": b"#" * (64 << 20)}), 413, "4,194,304 bytes when it is unpacked"),
    "large": (lambda: b"package a\n" + b"# x\n" * 400_000, 413, "1,048,576 bytes"),
    "large module": (lambda: b"package a\n" + b"# x\n" * 70_000, 413, "more than 262,144 bytes"),
    "many members": (lambda: zipped({f"{n}.txt": b"" for n in range(1001)}), 413, "more than 1,000 members"),
    "many modules": (lambda: zipped({f"{n}.rego": MODULE for n in range(101)}), 413, "more than 100 modules"),
    "no module": (lambda: zipped({"data.json": b"{}"}), 400, "has no module"),
    "cut": (lambda: zipped({"a.rego": MODULE})[:-30], 400, "is not a readable archive"),
    "cut tar": (lambda: tarred({"a.rego": MODULE})[:-30], 400, "is not a readable archive"),
    "no text": (lambda: b"\x89PNG\r\n\xff", 400, "is not UTF-8 text"),
    "bad data": (lambda: zipped({"a.rego": MODULE, "data.json": b"{"}), 400, "'data.json' cannot be read"),
    "list as data": (lambda: zipped({"a.rego": MODULE, "data.json": b"[]"}), 400, "'data.json' is not a JSON object"),
    "NUL in data": (lambda: zipped({"a.rego": MODULE, "data.json": b'{"a": "\\u0000"}'}), 400, "NUL character"),
    "nested data": (lambda: zipped({"a.rego": MODULE, "data.json": b'{"a":' * 90 + b"1" + b"}" * 90}), 400, "levels"),
    "two values": (
        lambda: zipped({"a.rego": MODULE, "data.json": b'{"x": {"y": 1}}', "x/data.json": b'{"y": 2}'}),
        400,
        "has a value for 'y'",
    ),
    "data as YAML": (lambda: zipped({"a.rego": MODULE, "data.yaml": b"a: 1"}), 400, "give data as JSON"),
    "data for a rule": (lambda: zipped({"a.rego": MODULE, "data.json": b'{"a": {"allow": 1}}'}), 400, "data.a.allow"),
    "no rule": (lambda: b"package a\nx = 1", 422, "no package of the bundle has a rule"),
    "syntax": (lambda: zipped({"x/gate.rego": b"package a\nallow {"}), 400, "x/gate.rego:2:7: this is unclosed"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
async def test_a_bad_file_is_refused(api: Caller, case: str) -> None:
    make, status, said = BAD_FILES[case]
    answer = await send_file(api, make(), "gate.rego", status)
    assert said in answer.json["message"]


@pytest.mark.parametrize(
    ("rego", "status"),
    [
        ("package a\nallow {", 400),
        ("package a\nallow = http.send({})", 400),
        ("package a\nx = 1", 422),
        ("package a\nallow = true\n" + "# x\n" * 70_000, 413),
        ("", 400),
        ("\0", 400),
    ],
)
async def test_a_bad_module_is_refused(api: Caller, rego: str, status: int) -> None:
    await upload(api, rego, status)


async def test_nothing_is_kept_of_a_dry_run(api: Caller) -> None:
    body = {"name": unique("release"), "version": "1", "regoContent": GATE}
    for _ in range(2):
        answer = await api.post("/opa/bundles", body, 200, headers={"X-Dry-Run": "true"})
        assert answer.json["wouldCreate"]["status"] == "INACTIVE"
    await upload(api, "package a\nallow {", 400)
    assert (await api.get(f"/opa/bundles?name={body['name']}")).json == []


async def test_a_repeated_request_is_answered_once(api: Caller) -> None:
    body = {"name": unique("release"), "version": "1", "regoContent": GATE}
    first, second = [
        await api.send("POST", "/opa/bundles", json=body, headers={"Idempotency-Key": body["name"]}) for _ in range(2)
    ]
    assert (first.status, first.json) == (second.status, second.json)


async def test_two_active_bundles_of_one_name_are_impossible(api: Caller) -> None:
    """The constraint holds even if a command forgot to deactivate."""
    name = unique("release")
    made = [await upload(api, name=name, version=version) for version in ("1", "2")]
    database = api.client.app[SERVICES].database
    with pytest.raises(asyncpg.UniqueViolationError):
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE opa_bundles SET activated_at = now() WHERE id = ANY($1::uuid[])", [one["id"] for one in made]
            )
