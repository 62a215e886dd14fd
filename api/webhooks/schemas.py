"""Response models of the webhook receiver."""

from uuid import UUID

from api.http.wire import WireModel


class AcceptedOut(WireModel):
    """A stored delivery. Its outcome is at GET /api/v1/receipts/{receiptId}."""

    accepted: bool = True
    delivery_id: str
    message: str
    receipt_id: UUID
