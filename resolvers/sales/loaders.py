"""Sales orders as readers know them, and how to get to them."""

from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.inventory.loaders import SALES_ORDER_LINE, lines_by_lot, lots_by_line
from resolvers.reference.loaders import qty_entered, uom_entered
from resolvers.sales.tables import sales_order as order_table
from resolvers.sales.tables import sales_order_line as line_table

_line = line_table.c

sales_order = entity("SalesOrder", order_table)
sales_order_line = entity(
    "SalesOrderLine",
    line_table,
    qty_entered=qty_entered(line_table),
    uom_entered=uom_entered(line_table),
    backordered=_line.quantity - _line.shipped - _line.canceled - _line.reserved,
)

order_by_id = by_key(sales_order)
order_by_number = by_key(sales_order, "number")
# a reference is unique in its channel; of orders from several the latest counts
order_by_external_ref = by_key(sales_order, "external_ref", order=("id",))
line_by_id = by_key(sales_order_line)
lines_by_order = children(sales_order_line, "order_id", order=("order_id", "position"))
order_lines_by_lot = lines_by_lot(sales_order_line, SALES_ORDER_LINE)
lots_by_order_line = lots_by_line("SalesOrderLine", SALES_ORDER_LINE)
