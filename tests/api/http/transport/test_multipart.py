"""The multipart reader alone: cut anywhere, bounded, and never more than a refusal for what is no form."""

import random
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.transport.multipart import MAX_HEAD, MAX_PARTS, Multipart
from domain.errors import Invalid, TooLarge

TYPE = "multipart/form-data; boundary=frontier"
CAP = 1 << 20


async def arriving(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The body as the server gives it."""
    for piece in pieces:
        if piece:
            yield piece


async def read(pieces: Iterable[bytes], cap: int = CAP, kind: str = TYPE) -> list[Any]:
    """Every part with its content."""
    body, found = Multipart(arriving(pieces), kind, cap), []
    while (part := await body.next_part()) is not None:
        found.append((part.name, part.file_name, part.content_type, b"".join([one async for one in body.content()])))
    return found


def part(content: bytes, head: bytes = b'Content-Disposition: form-data; name="a"') -> bytes:
    return b"--frontier\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


END = b"--frontier--"
HOSTILE_CONTENT = [
    b"",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b"--frontier",
    b"x--frontier--",
    b"\n--frontier\n",
    b"\r--frontier\r\n",
    b"\r\n--frontie",
    b"\r\n--front\r\n--frontie\r\n\r\n",
    b"\r\r\r\n\r\n--",
    b"\r" * 500,
    b"\r\n--" * 100,
]


@pytest.mark.parametrize("content", HOSTILE_CONTENT, ids=repr)
@pytest.mark.parametrize("size", [1, 2, 3, 11, 12, 13, 10_000])
async def test_content_comes_out_as_it_went_in_wherever_it_is_cut(content: bytes, size: int) -> None:
    body = part(content) + part(b"second") + END
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert await read(pieces) == [("a", "", "", content), ("a", "", "", b"second")]


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(0, 2**32))
async def test_any_content_and_any_cuts(contents: list[bytes], seed: int) -> None:
    kept = [content for content in contents if b"\r\n--frontier" not in content]
    body, chance = b"".join(map(part, kept)) + END + b"\r\nepilogue", random.Random(seed)
    cuts = sorted(chance.sample(range(len(body)), min(len(body), 9)))
    pieces = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert [one[3] for one in await read(pieces)] == kept


@given(st.binary(max_size=400))
async def test_no_bytes_are_more_than_a_refusal(noise: bytes) -> None:
    for body in (
        noise,
        b"--frontier\r\n" + noise,
        b"--frontier" + noise + b"\r\n\r\n\r\n" + END,
        part(b"x", noise) + END,
    ):
        with suppress(Invalid, TooLarge):
            await read([body])


@given(st.text(st.characters(exclude_characters="\r\n"), max_size=100))
async def test_no_disposition_is_more_than_a_refusal(text: str) -> None:
    for disposition in (
        text,
        f"form-data; name={text}",
        f'form-data; name="a"; filename*={text}',
        f"x; filename*0*={text}",
    ):
        with suppress(Invalid):
            await read([part(b"x", f"Content-Disposition: {disposition}".encode(errors="surrogatepass")) + END])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b'content-disposition:form-data;NAME="a";FileName="b c"', ("a", "b c", "")),
        (b'Content-Disposition: form-data; name="a\\"; x=\\"b"', ('a"; x="b', "", "")),
        (b"Content-Disposition: form-data; name=a; filename=b", ("a", "b", "")),
        (b'Content-Disposition: form-data; name="a"; filename="x"; filename*=UTF-8\'\'%e2%82%ac', ("a", "\u20ac", "")),
        (b"Content-Disposition: form-data; filename*=UTF-8''%e2%82%ac; filename=x; name=a", ("a", "\u20ac", "")),
        (b"Content-Disposition: form-data; name=a; filename*=klingon''x", ("a", "x", "")),
        ('Content-Disposition: form-data; name="\u00e4"'.encode(), ("\u00e4", "", "")),
        (b"Content-Type: text/plain\r\nContent-Type: text/html", ("", "", "text/plain")),
        (b"Content-Disposition: nonsense;;;=", ("", "", "")),
        (b"X-Other: y", ("", "", "")),
    ],
)
async def test_part_headers(head: bytes, expected: tuple[str, str, str]) -> None:
    assert await read([part(b"x", head) + END]) == [(*expected, b"x")]


async def test_a_part_without_headers_a_preamble_blanks_and_an_epilogue() -> None:
    body = b"preamble\r\n--frontier \t \r\n\r\nbare\r\n" + part(b"x") + END + b"\r\nepilogue" * 100
    assert await read([body]) == [("", "", "", b"bare"), ("a", "", "", b"x")]
    assert await read([END]) == []


async def test_what_nobody_reads_is_skipped() -> None:
    body = Multipart(arriving([part(b"1" * 5000), part(b"2"), END]), TYPE, CAP)
    assert [await body.next_part() is not None for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--frontier",
        b"--frontier-",
        b"--frontier\r\n",
        b"--other--",
        b"--frontierX\r\n\r\nx\r\n--frontier--",
        b"--frontier\n\nx\n--frontier--",
        part(b"x"),
        part(b"x")[:-5],
        part(b"x", b"no colon") + END,
        part(b"x", b'Content-Disposition: form-data; name="\xff"') + END,
        b"--frontier\r\nX: " + b"y" * (MAX_HEAD + 1000),
    ],
)
async def test_what_does_not_follow_its_boundary_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid, match="Malformed form"):
        await read([body])


async def test_a_wire_that_breaks_off_is_refused_even_behind_the_last_part() -> None:
    def broken() -> Iterator[bytes]:
        yield part(b"x") + END
        raise Invalid("it broke off")

    with pytest.raises(Invalid, match="it broke off"):
        await read(broken())


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/form-data; boundary=\u00e4",
        "multipart/form-data; boundary=\udcff",
    ],
)
async def test_a_boundary_that_is_none_is_refused(kind: str) -> None:
    with pytest.raises(Invalid):
        await read([END], kind=kind)


@pytest.mark.parametrize("boundary", ["x" * 70, "'()+_,-./:=?", "a b"])
async def test_boundaries_of_every_kind(boundary: str) -> None:
    body = (part(b"x") + END).replace(b"frontier", boundary.encode())
    assert await read([body], kind=f'multipart/form-data; boundary="{boundary}"') == [("a", "", "", b"x")]


@pytest.mark.parametrize(
    "filler",
    [
        pytest.param(b"preamble\r\n" * 100, id="preamble"),
        pytest.param(b"--frontier\r\nX: y\r\n\r\n\r\n" * 50, id="parts"),
        pytest.param(part(b"z" * 1000), id="content"),
        pytest.param(END + b"z" * 1000, id="epilogue"),
    ],
)
async def test_everything_that_arrives_counts(filler: bytes) -> None:
    def endless() -> Iterable[bytes]:
        while True:
            yield filler

    body = Multipart(arriving(endless()), TYPE, 20_000)
    with pytest.raises(TooLarge, match="20000 bytes"):
        await drain(body)


async def drain(body: Multipart) -> None:
    while await body.next_part() is not None:
        pass


async def test_parts_are_counted() -> None:
    assert len(await read([part(b"") * MAX_PARTS + END])) == MAX_PARTS
    with pytest.raises(TooLarge, match="1000 parts"):
        await read([part(b"") * (MAX_PARTS + 1) + END])


async def test_content_with_a_cap_of_its_own_may_be_longer() -> None:
    pieces = [part(b"x" * 50_000)[:-2], *[b"x" * 50_000] * 20, b"\r\n" + END]
    body = Multipart(arriving(pieces), TYPE, 60_000)
    await body.next_part()
    size = 0
    async for chunk in body.content():
        body.allow(len(chunk))
        size += len(chunk)
    assert size == 21 * 50_000
    assert await body.next_part() is None
