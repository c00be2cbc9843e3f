"""Packs of products, and what was entered on lines of orders beside the quantity it became.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
