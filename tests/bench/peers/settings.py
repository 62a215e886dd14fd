"""How the peers are set up: the fastest of what was tried within what their documentation describes."""

ARQ_MAX_JOBS = 10
ARQ_POLL_DELAY = 0.01
ARQ_READ_LIMIT = 1000
PROCRASTINATE_CONCURRENCY = 20
PGQUEUER_BATCH = 250
PGQUEUER_CONNECTIONS = 20
FILL_BATCH = 100
"""Jobs that are enqueued together while a backlog is made."""
