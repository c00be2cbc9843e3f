"""Companies, users and API clients as readers know them, and how to get to them."""

from sqlalchemy import Integer, cast, func, select

from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.identity.tables import api_client as api_client_table
from resolvers.identity.tables import app_user as user_table
from resolvers.identity.tables import company as company_table
from resolvers.identity.tables import role as role_table
from resolvers.identity.tables import user_role as user_role_table

company = entity("Company", company_table)
user = entity("User", user_table)
api_client = entity("ApiClient", api_client_table)
role_held = entity(
    "RoleHeld",
    user_role_table,
    key="role_id",
    code=select(role_table.c.code)
    .where(role_table.c.id == user_role_table.c.role_id)
    .scalar_subquery(),
    name=select(role_table.c.name)
    .where(role_table.c.id == user_role_table.c.role_id)
    .scalar_subquery(),
)

company_currency = (
    select(company_table.c.currency)
    .where(company_table.c.id == cast(func.current_setting("app.company_id"), Integer))
    .scalar_subquery()
)
"""Currency of the company whose rows a statement sees."""

company_by_id = by_key(company)
user_by_id = by_key(user)
roles_by_user = children(role_held, "user_id", order=("role_id",))
