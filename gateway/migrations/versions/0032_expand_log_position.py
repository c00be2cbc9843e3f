"""Streams begin with the state: how far the log is, for those who may not read it.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
