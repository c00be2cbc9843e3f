"""Lines of shipments say of which lot and from where their goods are.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
