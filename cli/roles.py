"""`trailgate roles`: the table of roles and permissions in docs/access.md."""

from cli.output import say
from domain.identity.permissions import ROLES, Permission


def roles() -> None:
    """Print what each role may do, as a Markdown table."""
    say(f"| permission | {' | '.join(ROLES)} |")
    say(f"|---{'|---' * len(ROLES)}|")
    for permission in Permission:
        if permission is not Permission.PLATFORM_MANAGE:
            held = " | ".join("yes" if permission in granted else "-" for granted in ROLES.values())
            say(f"| `{permission}` | {held} |")
