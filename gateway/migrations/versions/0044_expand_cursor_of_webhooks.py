"""Webhooks keep the exact place that they resume after, also within changes told as one batch.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
