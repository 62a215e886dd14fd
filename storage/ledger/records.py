"""How verification reads a declared record back as it stands now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.audit.records import RecordForm


@dataclass(frozen=True, slots=True)
class RecordSource:
    """Where the records of one form live.

    `select` is `SELECT … FROM …` with every declared column under its declared name; `id` is the expression of the
    record's id, for conditions put behind it. `table` is named in findings. `older` holds the forms of former versions
    of Trailgate, whose leaves still stand. `opens` is False where a leaf must stay
    closed to whoever may verify it: an administrator's key of one's own choice could be guessed from its hash.
    """

    form: RecordForm
    table: str
    select: str
    id: str = "id"
    opens: bool = True
    older: tuple[RecordForm, ...] = ()

    @classmethod
    def plain(
        cls, form: RecordForm, table: str, *, opens: bool = True, older: tuple[RecordForm, ...] = ()
    ) -> "RecordSource":
        """All declared columns in one table."""
        select = f"SELECT {', '.join(form.columns)} FROM {table}"
        return cls(form, table, select, opens=opens, older=older)

    def form_of(self, number: int) -> RecordForm | None:
        """The form under which a leaf of that format was made."""
        return next((form for form in (self.form, *self.older) if form.format == number), None)

    @classmethod
    def eventful(cls, form: RecordForm) -> "RecordSource":
        """A record that is nothing but its event."""
        return cls(form, "audit_events", "")

    def version_of(self, row: Mapping[str, Any]) -> int:
        """The version of a row; records without versions have version 1."""
        version: int = row[self.form.version_column] if self.form.version_column else 1
        return version
