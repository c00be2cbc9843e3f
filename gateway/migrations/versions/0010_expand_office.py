"""The office: captured documents, opportunities, connectors with runs and contracts.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
