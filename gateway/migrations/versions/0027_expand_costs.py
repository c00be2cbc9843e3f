"""Stock is worth what it cost: at average cost, or first in, first out.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
