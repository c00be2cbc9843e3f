"""Company, User, RoleHeld, ApiClient and Viewer."""

from datetime import date, datetime

from resolvers.identity.loaders import api_client, company, roles_by_user, user
from resolvers.reference.loaders import currency_by_code
from schema.core.fields import ID, RowType, column, node_id, related
from schema.core.node import Node, node_type, row_type
from schema.core.scalars import CurrencyCode
from schema.reference.types import Currency


@node_type(company, "A company: the tenant that owns orders, stock and prices.", requires=None)
class Company(RowType, Node):
    """A row of `company`."""

    id: ID = node_id("Company")
    code: str = column("Short code; send it as the X-Company header to act for this company.")
    name: str = column("Legal name.")
    country: str = column("Country by its ISO 3166 alpha-2 code.")
    tax_id: str | None = column("Tax number.")
    currency: CurrencyCode = column("Currency of its books.")
    currency_details: Currency = related(
        "Currency of its books, with digits and symbol.", currency_by_code, "currency"
    )
    lock_date: date | None = column("Nothing can be posted up to and including this date.")


@row_type("RoleHeld", "A role that a user holds in the company.")
class RoleHeld(RowType):
    """A row of `user_role`."""

    code: str = column("Code of the role.")
    name: str = column("Name of the role.")


@node_type(user, "A person who signs in.", requires="users.read")
class User(RowType, Node):
    """A row of `app_user`."""

    id: ID = node_id("User")
    email: str = column("E-mail address, which is also the sign-in name.")
    display_name: str = column("Name as shown.")
    locale: str = column("Preferred language, as a BCP 47 tag.")
    archived_at: datetime | None = column(
        "When the user was archived; archived users cannot sign in."
    )
    roles: list[RoleHeld] = related(
        "Roles the user holds in the company acted for.", roles_by_user, "id", size=3
    )


@node_type(api_client, "A program that calls with an API key.", requires="users.read")
class ApiClient(RowType, Node):
    """A row of `api_client`."""

    id: ID = node_id("ApiClient")
    code: str = column("Code, unique.")
    name: str = column("What the program is.")
    permissions: list[str] = column("Permissions the key carries.")
    revoked_at: datetime | None = column("When the key was revoked.")


@row_type("Viewer", "The caller, as the gateway knows it.")
class Viewer(RowType):
    """Answer to `me`; made from the principal, without a statement."""

    name: str = column("Name of the user or API client.")
    kind: str = column("`user` for a person, `client` for a program with an API key.")
    permissions: list[str] = column("Permissions held in the company acted for.")
    company_codes: list[str] = column(
        "Codes of the companies the caller may act for; X-Company chooses one."
    )
