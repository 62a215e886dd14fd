"""Routes of the gate, with the permission that each one needs. The most frequent routes come first."""

from api.gates.routes import opa

ROUTES = (*opa.ROUTES,)
