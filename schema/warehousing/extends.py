"""What transfers add to lower modules' types."""

from resolvers.warehousing.loaders import transfer_line_by_id
from schema.core.extend import extend
from schema.core.fields import related
from schema.inventory.types import IncomingStock
from schema.warehousing.types import StockTransferLine


@extend(IncomingStock)
class IncomingStockTransfer:
    """Transfers that stock comes with."""

    transfer_line: StockTransferLine | None = related(
        "Line of the transfer it comes with; null when it comes with none.",
        transfer_line_by_id,
        "transfer_line_id",
        requires="stock.read",
    )
