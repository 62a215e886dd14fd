"""Bodies under a Content-Encoding: what they may be, and that no step of them takes long."""

import gzip
import zlib
from collections.abc import Callable, Iterator

import pytest
from aiohttp.test_utils import make_mocked_request

from api.http.transport.encodings import MAX_MEMBERS, STEP, Inflater, coding_of
from domain.errors import Invalid, UnsupportedMedia


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
}


def inflate(coding: str, chunks: Iterator[bytes]) -> bytes:
    inflater = Inflater(coding)
    content = b"".join(piece for chunk in chunks for piece in inflater.pieces(chunk))
    inflater.finish()
    return content


def cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_body_is_what_it_was_however_it_is_cut(name: str, size: int) -> None:
    coding, pack = PACKERS[name]
    for content in (b"", b"x", b"0123456789" * 100_000, bytes(range(256)) * 40):
        assert inflate(coding, cut(pack(content), size)) == content


@pytest.mark.parametrize("name", PACKERS)
def test_a_step_is_bounded_whatever_the_ratio(name: str) -> None:
    coding, pack = PACKERS[name]
    packed = pack(bytes(20 * 2**20))
    assert len(packed) < 30_000
    sizes = [len(piece) for piece in Inflater(coding).pieces(packed)]
    assert sum(sizes) == 20 * 2**20
    assert max(sizes) <= STEP


def test_members_of_gzip_are_one_body() -> None:
    packed = gzip.compress(b"a") + gzip.compress(b"b" * 1000)
    for size in (1, 5, 1000):
        assert inflate("gzip", cut(packed, size)) == b"a" + b"b" * 1000


def test_members_are_counted() -> None:
    with pytest.raises(Invalid):
        inflate("gzip", iter([gzip.compress(b"") * (MAX_MEMBERS + 1)]))


@pytest.mark.parametrize("name", PACKERS)
def test_a_body_that_is_cut_short_or_false_is_invalid(name: str) -> None:
    coding, pack = PACKERS[name]
    packed = pack(b"some content" * 1000)
    for broken in (packed[:-1], packed[: len(packed) // 2], b"\xffnot packed at all", packed + b"\xff\xff"):
        with pytest.raises(Invalid, match="Content-Encoding"):
            inflate(coding, iter([broken]))


@pytest.mark.parametrize(
    ("declared", "coding"),
    [("gzip", "gzip"), ("GZip", "gzip"), ("x-gzip", "gzip"), ("deflate", "deflate"), ("identity", None), ("", None)],
)
def test_codings_that_are_known(declared: str, coding: str | None) -> None:
    assert coding_of(make_mocked_request("POST", "/", {"Content-Encoding": declared})) == coding


@pytest.mark.parametrize("declared", ["br", "zstd", "compress", "gzip, gzip", "gzip, identity", "\u00fc"])
def test_other_codings_are_refused(declared: str) -> None:
    with pytest.raises(UnsupportedMedia):
        coding_of(make_mocked_request("POST", "/", {"Content-Encoding": declared}))
