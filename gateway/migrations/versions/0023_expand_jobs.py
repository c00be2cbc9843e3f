"""Jobs tell what they found.

Phase: expand
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; no row is touched."""
    op.execute("alter table job add column result jsonb")
