"""Who asks, and which rows they may see."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

STAFF_ROLE: Final = "erp_app"
"""Database role that serves a company's own people and programs; under row-level security."""
PARTNER_ROLE: Final = "erp_partner"
"""Database role that serves API clients bound to a partner; sees that partner's rows only."""


@dataclass(frozen=True, slots=True)
class RowScope:
    """What a database connection is set to before it runs a statement for a caller.

    Row-level security reads these three; a connection without them sees no owned row at all.
    """

    role: Literal["erp_app", "erp_partner"]
    company_id: int
    partner_id: int | None = None


@dataclass(frozen=True, slots=True)
class CompanyAccess:
    """One company a caller may act for, and the permissions held there."""

    company_id: int
    code: str
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller, acting for one company.

    ``actor`` is stable and goes into audit rows (``user:7``, ``client:3``). ``credential`` names
    the token or key, for per-caller limits and revocation. ``expires_at`` is None for API keys.
    """

    kind: Literal["user", "client"]
    actor: str
    name: str
    access: CompanyAccess
    companies: tuple[CompanyAccess, ...]
    credential: str
    partner_id: int | None = None
    expires_at: datetime | None = None
    rows: RowScope = field(init=False, repr=False, compare=False)
    """The row scope that database connections are set to for this caller."""

    def __post_init__(self) -> None:
        company_id, partner_id = self.access.company_id, self.partner_id
        if partner_id is None:
            rows = RowScope(STAFF_ROLE, company_id)
        else:
            rows = RowScope(PARTNER_ROLE, company_id, partner_id)
        object.__setattr__(self, "rows", rows)

    @property
    def company_id(self) -> int:
        """Id of the company acted for."""
        return self.access.company_id

    @property
    def permissions(self) -> frozenset[str]:
        """Permissions held in the company acted for."""
        return self.access.permissions

    def can(self, permission: str) -> bool:
        """Tell whether the caller holds ``permission`` in the company acted for."""
        return permission in self.access.permissions


def same_rights(one: Principal, other: Principal) -> bool:
    """Tell whether two callers see the same rows and may do the same."""
    return one.rows == other.rows and one.permissions == other.permissions
