"""Webhooks, and what was sent to them.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
