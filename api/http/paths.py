"""Where the surface begins."""

V1 = "/api/v1"
