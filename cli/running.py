"""What `up` notes in the data directory about itself, for those who start it a second time."""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from cli.embedded.layout import Layout, in_use
from domain.errors import Conflict


class RunningUp(BaseModel):
    """A running `up`: its process, where its API listens, and the address for clients."""

    pid: int
    host: str
    port: int
    address: str


def note_running(root: Path, running: RunningUp) -> None:
    """Note the holder of the data directory's lock; the next holder removes the note."""
    Layout(root, None).holder.write_text(running.model_dump_json(), encoding="utf-8")


def running_up(root: Path) -> RunningUp | None:
    """Return the `up` that serves from a data directory, or None when nobody uses it.

    Raises Conflict while it is starting, or another command runs the servers.
    """
    if not in_use(root):
        return None
    try:
        return RunningUp.model_validate_json(Layout(root, None).holder.read_bytes())
    except (OSError, ValidationError) as error:
        message = f"`trailgate up` is starting on {root}, or another command is at work there: try again in a moment."
        raise Conflict(message, "state") from error
