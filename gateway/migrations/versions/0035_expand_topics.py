"""The event log in partitions; events of shipments and jobs, and more in those of stock.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
