"""No row of the audit trail looks its company up.

Apart from its index, which can take long: this one locks the companies.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
