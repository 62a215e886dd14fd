"""Safe parsing of untrusted XML files as a stream, in constant memory.

No tree is built. The parser's own memory is limited as well: expat keeps every distinct name until the end, and every
tag, comment or instruction until it is complete.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from integrations.formats.parsed import Deadline, Unreadable, require_size, shown

MAX_BYTES = 256 * 2**20
MAX_DEPTH = 100
MAX_NAMES = 1000
MAX_TOKEN = 4 * 2**20
"""Bytes of one tag with its attributes; a failure's message is an attribute, so this must not be too small."""

_CHUNK = 256 * 1024

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]


def stream(path: Path, start: Start, end: End, deadline: Deadline) -> None:
    """Call `start` with the name and attributes of each element and `end` with its name, both without a namespace.

    Raises Unreadable for a file that is not well-formed, or larger, deeper or slower to parse than permitted, and for
    any document type declaration, because it may declare entities.
    """
    require_size(path, MAX_BYTES)
    parser = _parser(_Handlers(start, end))
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                parser.feed(chunk)
                deadline.check()
                _require_bounded(parser, file.tell())
        parser.close()
    except DefusedXmlException:
        raise Unreadable("The file has a document type declaration or entities, which are not supported") from None
    except (ParseError, LookupError, ValueError) as error:
        raise Unreadable(f"The file is not well-formed XML: {shown(str(error))}") from None


class _Handlers:
    """expat's handlers: limit the depth, strip namespaces, and call `start` and `end`."""

    def __init__(self, start: Start, end: End) -> None:
        self._start = start
        self._end = end
        self._depth = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"The file is nested more than {MAX_DEPTH} levels deep")
        self._start(tag.rpartition("}")[2], attributes)

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._end(tag.rpartition("}")[2])

    def prefix(self, prefix: str | None, uri: str | None) -> None:
        """Do nothing; with this handler, prefixes are among the names that `_require_bounded` counts."""


def _parser(handlers: _Handlers) -> DefusedXMLParser:
    """Make defusedxml's parser, which refuses declarations, but connect expat's elements directly to the handlers.

    ElementTree's Python code in between would double the time.
    """
    parser = DefusedXMLParser(target=object(), forbid_dtd=True)
    expat = parser.parser
    expat.ordered_attributes = False
    expat.StartElementHandler = handlers.start
    expat.EndElementHandler = handlers.end
    expat.StartNamespaceDeclHandler = handlers.prefix
    expat.DefaultHandlerExpand = None
    return parser


def _require_bounded(parser: DefusedXMLParser, fed: int) -> None:
    expat = parser.parser
    if fed - expat.CurrentByteIndex > MAX_TOKEN:
        raise Unreadable(f"The file has a single tag of more than {MAX_TOKEN >> 20} MiB")
    if len(expat.intern) > MAX_NAMES:
        raise Unreadable(f"The file has more than {MAX_NAMES:,} names of elements and attributes")
