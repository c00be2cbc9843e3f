"""Lists of price lists and their items."""

from resolvers.core.listing import Listing
from resolvers.pricing.loaders import price_list, price_list_item

price_lists = Listing(
    name="priceLists",
    entity=price_list,
    orders={"CODE": ("code",)},
    default_order="CODE",
    where=(price_list.columns["archived_at"].is_(None),),
)
price_list_items = Listing(
    name="priceListItems",
    entity=price_list_item,
    orders={"ID": ()},
    default_order="ID",
    where=(price_list_item.columns["archived_at"].is_(None),),
)
