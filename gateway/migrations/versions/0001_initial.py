"""The store of seven modules: tables, triggers, roles and row security.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
