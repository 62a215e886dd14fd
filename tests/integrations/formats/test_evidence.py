"""The table of readers, and that no file does worse than fail: bytes at random, bombs, giants and hostile shapes."""

import json
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from integrations.formats import json_files, xml_files
from integrations.formats.evidence import FORMATS, parse_evidence, parsed_by
from integrations.formats.parsed import MAX_TEXT, Deadline, ParsedEvidence, Unreadable, shown
from tests.integrations.formats.evidence_files import error_of, reading_of
from tests.paths import FIXTURES, ROOT

KINDS = sorted(FORMATS)
JSON_KINDS = [kind for kind in KINDS if kind not in ("junit", "jira")]


def as_utf16(text: str) -> bytes:
    return text.encode("utf-16")


# The table


@pytest.mark.parametrize("kind", ["junit", "JUnit", "JUNIT"])
def test_types_are_found_in_any_case(kind: str) -> None:
    assert reading_of(kind, '<testsuite tests="1"/>').passed is True


@pytest.mark.parametrize("kind", ["", "unit-tests", "test", "trivy", "generic", "junit ", "pull-request", "\0"])
def test_evidence_of_other_types_is_not_read(kind: str, tmp_path: Path) -> None:
    assert parse_evidence(kind, tmp_path / "is-not-even-there") is None


def test_the_table_is_in_lower_case_and_cannot_be_changed() -> None:
    assert [kind.lower() for kind in KINDS] == KINDS
    with pytest.raises(TypeError):
        FORMATS["new"] = FORMATS["junit"]  # type: ignore[index]


@pytest.mark.parametrize("kind", ["sonarqube", "SonarCloud"])
def test_the_names_of_sonar(kind: str) -> None:
    assert reading_of(kind, '{"status": "OK"}') == reading_of("sonar", '{"status": "OK"}')


# What a reader may do


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_disk_says_nothing_of_the_file(kind: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        parse_evidence(kind, tmp_path / "missing")


def test_a_fault_of_a_reader_fails_the_file(tmp_path: Path) -> None:
    def faulty(_: Path, __: Deadline) -> ParsedEvidence:
        raise KeyError("/secret/path")

    message = "The file could not be read"
    assert parsed_by(faulty, tmp_path) == ParsedEvidence(passed=False, details={"error": message}, reason=message)


def test_a_refusal_is_told(tmp_path: Path) -> None:
    def refusing(_: Path, __: Deadline) -> ParsedEvidence:
        raise Unreadable("No such thing")

    assert parsed_by(refusing, tmp_path).details == {"error": "No such thing"}


def test_every_reader_gets_half_a_minute(tmp_path: Path) -> None:
    given_until: list[float] = []

    def asking(_: Path, deadline: Deadline) -> ParsedEvidence:
        given_until.append(deadline.at)
        return ParsedEvidence(passed=None, details={}, reason="waits for another file")

    before = monotonic()
    assert parsed_by(asking, tmp_path).passed is None
    assert before + 30 <= given_until[0] <= monotonic() + 30


LONG = {
    "junit": '<testsuite><testcase name="a"/></testsuite>',
    "sarif": '{"runs": [{"results": [{}]}]}',
    "snyk": '{"vulnerabilities": [{}]}',
    "sonar": '{"status": "OK"}',
}


@pytest.mark.parametrize("kind", sorted(LONG))
def test_readers_stop_when_the_time_is_up(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    path.write_text(LONG[kind])
    assert FORMATS[kind](path, Deadline.after(60)).details
    with pytest.raises(Unreadable, match="took too long"):
        FORMATS[kind](path, Deadline.after(-1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_too_large_is_not_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.touch()
    limit = xml_files.MAX_BYTES if kind == "junit" else json_files.MAX_BYTES
    with path.open("r+b") as file:
        file.truncate(limit + 1)
    reading = parse_evidence(kind, path)
    assert reading is not None
    assert reading.reason == f"The file is larger than {limit >> 20} MiB, the limit for this format"


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_fails(kind: str) -> None:
    assert error_of(kind, b"") == "The file is empty"


# Any bytes


CORPUS = [path.read_bytes() for path in sorted(FIXTURES.glob("[js]*/*__*")) if path.suffix in {".json", ".xml"}]


@given(st.sampled_from(KINDS), st.binary(max_size=200))
@example("junit", b"<?xml version='1.0' encoding='punycode'?><testsuite/>")
@example("snyk", b"\xff\xfe\x00\xd8")
@example("sonar", b'{"status": "\\ud800"}')
def test_any_bytes_fail(kind: str, content: bytes) -> None:
    assert reading_of(kind, content).passed is False


@given(st.sampled_from(KINDS), st.sampled_from(CORPUS), st.data())
def test_damaged_files_have_a_reading(kind: str, content: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 40)))
    assert reading_of(kind, content[:start] + data.draw(st.binary(max_size=8)) + content[end:]).passed in (True, False)


@given(st.text())
def test_what_is_shown_is_short_and_printable(text: str) -> None:
    assert len(shown(text)) <= MAX_TEXT
    assert shown(text).isprintable()
    json.dumps(shown(text)).encode()
    shown(text).encode()


# Hostile XML

BOMB = "".join(
    [
        '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a0 "lol">',
        *(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)),
        ']><testsuite name="&a9;" tests="1"/>',
    ]
)
EXTERNAL = (
    '<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase name="a"><failure>&x;</failure>'
    "</testcase></testsuite>"
)
DECLARED = [
    BOMB,
    EXTERNAL,
    '<!DOCTYPE testsuite SYSTEM "http://127.0.0.1:1/x.dtd"><testsuite tests="1"/>',
    '<!DOCTYPE testsuite><testsuite tests="1"/>',
    '<!DOCTYPE t [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]><testsuite tests="1"/>',
    f'<!DOCTYPE t [<!ENTITY q "{"q" * 100_000}">]><testsuite name="{"&q;" * 10_000}" tests="1"/>',
]


@pytest.mark.parametrize("xml", DECLARED)
@pytest.mark.parametrize("encode", [str.encode, as_utf16])
def test_document_types_and_entities_are_refused(xml: str, encode: object) -> None:
    message = "The file has a document type declaration or entities, which are not supported"
    assert error_of("junit", encode(xml)) == message  # type: ignore[operator]


@pytest.mark.parametrize("depth", [99, 100, 100_000])
def test_depth_of_xml(depth: int) -> None:
    xml = "<testsuite>" * depth + '<testcase name="a"/>' + "</testsuite>" * depth
    if depth < xml_files.MAX_DEPTH:
        assert reading_of("junit", xml).passed is True
    else:
        assert error_of("junit", xml) == "The file is nested more than 100 levels deep"


@pytest.mark.parametrize(
    "xml",
    [
        "".join(f"<n{n}/>" for n in range(2000)),
        "".join(f'<n a{n}="1"/>' for n in range(2000)),
        "".join(f'<n xmlns:p{n}="urn:x"/>' for n in range(2000)),
    ],
    ids=["elements", "attributes", "prefixes"],
)
def test_names_without_end_are_refused(xml: str) -> None:
    expected = "The file has more than 1,000 names of elements and attributes"
    assert error_of("junit", f"<testsuite>{xml}</testsuite>") == expected


@pytest.mark.parametrize("opened", ["<testsuite name='", "<testsuite><!--", "<testsuite><?p "])
def test_a_tag_without_end_is_refused(opened: str) -> None:
    assert error_of("junit", opened + "x" * (6 * 2**20)) == "The file has a single tag of more than 4 MiB"


def test_long_messages_and_longer_output_are_fine() -> None:
    case = f'<testcase name="a"><failure message="{"m" * 2**20}"/></testcase>'
    output = f"<system-out><![CDATA[{'o' * (8 * 2**20)}]]></system-out>"
    assert reading_of("junit", f"<testsuite>{case}{output}</testsuite>").details["failures"] == 1


# Hostile JSON


@pytest.mark.parametrize("kind", JSON_KINDS)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"runs":' * 100_000,
        "Infinity",
        '{"vulnerabilities": [], "cvss": NaN}',
        '{"status": "OK", "n": -Infinity}',
        '{"status": "OK", "n": 1e999}',
        '{"status": "OK", "s": "\\ud800"}',
        '{"status": "OK",}',
        "{'status': 'OK'}",
        '{"status": "OK"} {}',
        '\0{"status": "OK"}',
        '{"status": "OK\0"}',
        '/**/{"status": "OK"}',
    ],
)
def test_what_is_not_json_fails(kind: str, text: str) -> None:
    assert error_of(kind, text).startswith("The file is not JSON: ")


@pytest.mark.parametrize("values", ["0," * 5_000_000, "[]," * 2_600_000, "{}," * 2_600_000], ids=lambda v: v[:2])
def test_more_values_than_memory_are_refused(values: str) -> None:
    assert error_of("snyk", f"[{values}0]") == "The file contains more than 5,000,000 values"


def test_huge_integers_are_fine_where_nobody_reads_them() -> None:
    assert reading_of("sonar", f'{{"status": "OK", "n": {"9" * 300}}}').passed is True
    assert reading_of("snyk", f'{{"vulnerabilities": [], "n": {2**64}}}').passed is True


def test_of_equal_keys_the_last_one_counts() -> None:
    assert reading_of("sonar", '{"status": "OK", "status": "ERROR"}').passed is False
    assert reading_of("sonar", '{"status": "ERROR", "status": "OK"}').passed is True


def test_what_powershell_writes_is_read() -> None:
    assert reading_of("sonar", as_utf16('{"status": "OK"}')).passed is True
    assert reading_of("sonar", b"\xef\xbb\xbf" + b'{"status": "OK"}').passed is True
    assert reading_of("sonar", "\ufeff".encode("utf-16-be") + '{"status": "OK"}'.encode("utf-16-be")).passed is True


# A million cases

MEASURE = """
import resource, sys, time
from pathlib import Path
from integrations.formats.junit.parse import parse
from integrations.formats.parsed import Deadline

small, large = map(Path, sys.argv[1:])
parse(small, Deadline.after(100))
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
parse(small, Deadline.after(100))
between = time.process_time()
parsed = parse(large, Deadline.after(100))
spent = time.process_time() - between
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(parsed.details["tests"], parsed.details["failures"], grown, spent / (between - started))
"""


def write_cases(path: Path, count: int) -> None:
    """Suites of a thousand cases, the last case of each failing."""
    good = b'<testcase classname="depot.Test" name="wagon" time="0.01"/>\n' * 999
    bad = b'<testcase classname="depot.Test" name="rail"><failure message="no"/></testcase>'
    with path.open("wb") as file:
        file.write(b"<testsuites>")
        for _ in range(count // 1000):
            file.write(b'<testsuite name="s" tests="1000" failures="1">' + good + bad + b"</testsuite>")
        file.write(b"</testsuites>")


@pytest.mark.slow
def test_a_million_cases_in_bounded_memory_and_linear_time(tmp_path: Path) -> None:
    small, large = tmp_path / "small.xml", tmp_path / "large.xml"
    write_cases(small, 100_000)
    write_cases(large, 1_000_000)
    command = [sys.executable, "-c", MEASURE, str(small), str(large)]
    root = ROOT
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=120)
    tests, failures, grown, ratio = done.stdout.split()
    assert (tests, failures) == ("1000000", "1000")
    kibibytes = int(grown) // (1024 if sys.platform == "darwin" else 1)
    assert kibibytes < 64 * 1024
    assert float(ratio) < 40  # ten where it is linear, a hundred where it is quadratic
