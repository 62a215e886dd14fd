"""The prefixes of all API paths."""

V1 = "/api/v1"
V2 = "/api/v2"
