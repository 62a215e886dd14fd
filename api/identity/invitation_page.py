"""The page to which the link of an invitation leads. It works without a session, and loads nothing but the icon.

The token is the fragment of the address, which browsers put into no request of their own. The page asks in a dry run
what accepting would do, so that the person knows to whom they agree.
"""

from base64 import b64encode
from hashlib import sha256

from aiohttp import web

from api.http.documentation.documents import fixed_text
from domain.identity.invitations import PAGE

_STYLE = """
body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1.5rem; }
h1 { display: flex; gap: .7rem; align-items: center; }
button { font: inherit; padding: .5rem 1.5rem; }
"""

_SCRIPT = """
const token = location.hash.slice(1);
const offer = document.getElementById("offer");
const button = document.getElementById("accept");
const result = document.getElementById("result");

async function ask(query, use) {
  button.disabled = true;
  try {
    const answer = await fetch("../api/v1/invitations/accept" + query, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    const said = await answer.json();
    button.hidden = !answer.ok && answer.status < 500 && answer.status !== 429;
    if (answer.ok) {
      use(said);
    } else {
      result.textContent = said.message;
    }
  } catch {
    result.textContent = "The server could not be reached. Try again.";
  } finally {
    button.disabled = false;
  }
}

function show({ wouldCreate: { organisation, role } }) {
  offer.textContent = `The organisation ${organisation} invites you to become a member, with the role ${role}.`;
}

function accepted(said) {
  button.hidden = true;
  history.replaceState(null, "", location.pathname);
  const next = said.isSignedIn ? "You are signed in." : said.howToSignIn;
  result.textContent = `You are a member of ${said.organisation}. ${next}`;
}

if (token) {
  button.hidden = false;
  button.addEventListener("click", () => {
    result.textContent = "One moment\\u2026";
    ask("", accepted);
  });
  ask("?dryRun=true", show);
} else {
  result.textContent = "This address is not complete: open the whole link of the invitation.";
}
"""

_HTML = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Invitation to Trailgate</title>
<link rel="icon" type="image/svg+xml" href="../favicon.ico">
<style>{_STYLE}</style>
</head>
<body>
<h1><img src="../favicon.ico" alt="" width="40" height="40">Trailgate</h1>
<p id="offer">An organisation invites you to become a member.</p>
<p><button id="accept" type="button" hidden>Accept</button></p>
<p id="result" role="status"></p>
<noscript><p>This page needs JavaScript.</p></noscript>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    """Return the source of a Content-Security-Policy that permits this text alone (CSP level 3, section 6.7.2.4)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def add_invitation_page(app: web.Application) -> None:
    """Serve the page. Without a credential, as the person has none yet."""
    app.router.add_get(PAGE, fixed_text(_HTML, "text/html", _HEADERS))
