"""Steps of the work on orders are known from when they are confirmed, before a shipment is planned.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
