"""Reading which content is kept."""

from collections.abc import Sequence

from storage.database import Reader


async def knows_any(reader: Reader) -> bool:
    """Whether any content at all is kept."""
    return bool(await reader.value("SELECT EXISTS (SELECT FROM blobs)"))


async def unknown(reader: Reader, digests: Sequence[str]) -> list[str]:
    """Those of the digests that no row speaks of."""
    rows = await reader.rows(
        "SELECT d.digest FROM unnest($1::text[]) AS d(digest) "
        "WHERE NOT EXISTS (SELECT FROM blobs b WHERE b.digest = d.digest)",
        list(digests),
    )
    return [row["digest"] for row in rows]
