"""How verification reads the current state of a sealed record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.audit.records import RecordForm


@dataclass(frozen=True, slots=True)
class RecordSource:
    """Where the records of one form are stored.

    `select` is `SELECT … FROM …` with every column of the form under its name; `id` is the expression of the record's
    id, for conditions added to it. `table` is named in findings. `older` holds the forms of earlier versions of
    Trailgate, whose leaves must still verify. `opens` is False if verification must not disclose the content of the
    leaf: it includes the hash of an API key, from which a key chosen by the administrator could be guessed. `versions`
    selects every version of every record, for kinds that keep them, with the same columns; `versions_id` is the id in
    it. `org` is the expression of the organisation; None for records that organisations share.
    """

    form: RecordForm
    table: str
    select: str
    id: str = "id"
    opens: bool = True
    older: tuple[RecordForm, ...] = ()
    versions: str = ""
    versions_id: str = ""
    org: str | None = "org_id"

    @classmethod
    def plain(
        cls,
        form: RecordForm,
        table: str,
        *,
        opens: bool = True,
        older: tuple[RecordForm, ...] = (),
        org: str | None = "org_id",
    ) -> "RecordSource":
        """Read all columns of the form from one table."""
        select = f"SELECT {', '.join(form.columns)} FROM {table}"
        return cls(form, table, select, opens=opens, older=older, org=org)

    def form_of(self, number: int) -> RecordForm | None:
        """Return the form with which a leaf of that format was made; None for an unknown format."""
        return next((form for form in (self.form, *self.older) if form.format == number), None)

    @classmethod
    def eventful(cls, form: RecordForm) -> "RecordSource":
        """Declare a record that consists of its audit event only."""
        return cls(form, "audit_events", "")

    def version_of(self, row: Mapping[str, Any]) -> int:
        """Return the version of a row; records without versions have version 1."""
        version: int = row.get(self.form.version_column, 1) if self.form.version_column else 1
        return version
