"""What senders are answered."""

from uuid import UUID

from api.http.wire import WireModel


class AcceptedOut(WireModel):
    """The promise that a delivery is kept. `receiptId` leads to its outcome: GET /api/v1/receipts/{receiptId}."""

    accepted: bool = True
    delivery_id: str
    message: str
    receipt_id: UUID
