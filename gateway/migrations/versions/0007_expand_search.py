"""Search: products by their attributes, documents by the beginning of their number, one function.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
