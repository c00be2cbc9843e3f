"""Tables of companies, users, roles and API clients."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, CHAR

from resolvers.core.principal import STAFF_ROLE
from resolvers.core.table import (
    COMPANY,
    RowRule,
    archived_at,
    instant,
    internal,
    money,
    owned,
    required,
    shared,
    small_id,
    table,
)

company = table(
    "company",
    small_id(),
    required("code", unique=True),
    required("name"),
    required("country", CHAR(2)),
    Column("tax_id", Text),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("tax_rounding", server_default="DOCUMENT"),
    required("costing", server_default="AVERAGE"),
    Column("lock_date", Date),
    Column("purchase_approval_from", money()),
    archived_at(),
    CheckConstraint("purchase_approval_from >= 0", name="purchase_approval_from"),
    CheckConstraint("tax_rounding in ('LINE', 'DOCUMENT')", name="tax_rounding"),
    CheckConstraint("costing in ('AVERAGE', 'FIFO')", name="costing"),
    rows=RowRule(f"id = {COMPANY}", f"id = {COMPANY}", owned=True),
    comment="A company: the tenant that owns rows.",
    # not with every change of a lock date, which closing a period makes
    access=("code", "archived_at"),
)

app_user = table(
    "app_user",
    small_id(),
    required("email"),
    required("display_name"),
    required("locale", server_default="en"),
    archived_at(),
    Index(
        "uq_app_user_email",
        text("lower(email)"),
        unique=True,
        postgresql_where=text("archived_at is null"),
    ),
    # of the users of all companies a company sees those with a role in it
    rows=RowRule(
        f"exists (select from user_role r where r.user_id = app_user.id and r.company_id = {COMPANY})",
        None,
        owned=True,
    ),
    comment="A person who signs in.",
    access=("email", "display_name", "archived_at"),
)

role = table(
    "role",
    small_id(),
    required("code", unique=True),
    required("name"),
    rows=shared(partner=None),
    comment="A named set of permissions.",
)

role_permission = table(
    "role_permission",
    required("role_id", Integer, ForeignKey("role.id")),
    required("permission"),
    PrimaryKeyConstraint("role_id", "permission"),
    rows=shared(partner=None),
    comment="A permission that a role carries.",
    access=(),
)

user_role = table(
    "user_role",
    required("user_id", Integer, ForeignKey("app_user.id")),
    required("company_id", Integer, ForeignKey("company.id")),
    required("role_id", Integer, ForeignKey("role.id")),
    PrimaryKeyConstraint("user_id", "company_id", "role_id"),
    Index("ix_user_role_company_id", "company_id", "user_id"),
    rows=owned(),
    comment="A role a user holds in a company.",
    access=(),
)

api_client = table(
    "api_client",
    small_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    Column("partner_id", BigInteger, ForeignKey("partner.id")),
    required("code", unique=True),
    required("name"),
    required("key_prefix", unique=True),
    required("key_hash", LargeBinary),
    required("permissions", ARRAY(Text)),
    required("cost_per_second", Integer, server_default="100"),
    required("cost_bucket", Integer, server_default="2000"),
    instant("revoked_at"),
    archived_at(),
    CheckConstraint("octet_length(key_hash) = 32", name="key_hash"),
    Index("ix_api_client_company_id", "company_id"),
    rows=owned(),
    comment="A program that calls with an API key, stored as its SHA-256; bound to a partner or not.",
    access=(
        *("company_id", "partner_id", "name", "key_prefix", "key_hash", "permissions"),
        *("revoked_at", "archived_at"),
    ),
)

revoked_token = table(
    "revoked_token",
    Column("jti", Text, primary_key=True),
    instant("expires_at", now=True),
    rows=internal(),
    comment="A token withdrawn before it expired.",
    access=(),
)


def only_staff(function: str) -> str:
    """Return the statements that leave a function to the staff role: no other login may ask."""
    return f"""
revoke execute on function {function} from public;
grant execute on function {function} to {STAFF_ROLE}
"""


# Callers are looked up before it is known which company they act for, so these two run with the
# owner's rights and return only what belongs to the presented identity.
USER_ACCESS = """
create function user_access(wanted_email text)
returns table (user_id int, display_name text, company_id int, company_code text, permissions text[])
language sql stable security definer set search_path = public as $$
  select u.id, u.display_name, c.id, c.code, array_agg(distinct p.permission order by p.permission)
  from app_user u
  join user_role ur on ur.user_id = u.id
  join company c on c.id = ur.company_id and c.archived_at is null
  join role_permission p on p.role_id = ur.role_id
  where lower(u.email) = lower(wanted_email) and u.archived_at is null
  group by u.id, u.display_name, c.id, c.code
  order by c.id
$$;
""" + only_staff("user_access(text)")

CLIENT_ACCESS = """
create function client_access(wanted_prefix text)
returns table (client_id int, code text, name text, key_hash bytea, partner_id bigint, company_id int,
               company_code text, permissions text[], cost_per_second int, cost_bucket int)
language sql stable security definer set search_path = public as $$
  select a.id, a.code, a.name, a.key_hash, a.partner_id, c.id, c.code, a.permissions,
         a.cost_per_second, a.cost_bucket
  from api_client a
  join company c on c.id = a.company_id and c.archived_at is null
  where a.key_prefix = wanted_prefix and a.archived_at is null and a.revoked_at is null
$$;
""" + only_staff("client_access(text)")

TOKEN_REVOKED = """
create function token_revoked(wanted_jti text) returns boolean
language sql stable security definer set search_path = public as $$
  select exists (select from revoked_token where jti = wanted_jti)
$$;
""" + only_staff("token_revoked(text)")
