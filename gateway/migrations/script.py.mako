"""${message}

Phase: expand | contract | backfill (keep one)
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; gives up rather than queue behind a long transaction."""
    op.execute("set local lock_timeout = '3s'")
    ${upgrades if upgrades else "raise NotImplementedError"}
