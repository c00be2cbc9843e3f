"""Returns as readers know them, and how to get to them."""

from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.inventory.loaders import GOODS_RETURN_LINE, lots_by_line
from resolvers.returns.tables import goods_return as return_table
from resolvers.returns.tables import goods_return_line as return_line_table

goods_return = entity("GoodsReturn", return_table)
goods_return_line = entity("GoodsReturnLine", return_line_table)

return_by_id = by_key(goods_return)
return_line_by_id = by_key(goods_return_line)
returns_by_order = children(goods_return, "order_id", order=("order_id", "id"))
lines_by_return = children(goods_return_line, "return_id", order=("return_id", "position"))
lots_by_return_line = lots_by_line("GoodsReturnLine", GOODS_RETURN_LINE)
