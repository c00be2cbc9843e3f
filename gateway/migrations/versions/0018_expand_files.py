"""What suppliers billed of purchase orders, and the files behind documents.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
