"""Reading which content has a row."""

from collections.abc import Sequence

from storage.database import Reader


async def knows_any(reader: Reader) -> bool:
    """Whether any content has a row."""
    return bool(await reader.value("SELECT EXISTS (SELECT FROM blobs)"))


async def unknown(reader: Reader, digests: Sequence[str]) -> list[str]:
    """Return those of the digests that have no row."""
    rows = await reader.rows(
        "SELECT d.digest FROM unnest($1::text[]) AS d(digest) "
        "WHERE NOT EXISTS (SELECT FROM blobs b WHERE b.digest = d.digest)",
        list(digests),
    )
    return [row["digest"] for row in rows]
