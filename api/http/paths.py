"""The prefix of all API paths."""

V1 = "/api/v1"
