"""Lists of users and API clients of the company."""

from resolvers.core.listing import Listing
from resolvers.identity.loaders import api_client, user

users = Listing(
    name="users",
    entity=user,
    orders={"ID": ()},
    default_order="ID",
    where=(user.columns["archived_at"].is_(None),),
)
api_clients = Listing(
    name="apiClients",
    entity=api_client,
    orders={"ID": ()},
    default_order="ID",
    where=(api_client.columns["archived_at"].is_(None),),
)
