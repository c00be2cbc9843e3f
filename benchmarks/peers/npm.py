"""The peers that come from npm: installed once beside the benchmark's data, with their Node."""

import shutil
import subprocess
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.plans import key_of
from benchmarks.shapes import Shape, Variables

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", "mercurius.mjs", "postgraphile.mjs")
FUNCTIONS = (HERE / "functions.sql").read_text()
"""What PostGraphile needs in the database."""

DOCUMENTS = {path.stem: path.read_text() for path in (HERE / "postgraphile").glob("*.graphql")}
"""The shapes in the words of PostGraphile's schema."""


def is_known_to_peers(shape: Shape) -> bool:
    """Tell whether the peers can answer a shape."""
    return shape.name in DOCUMENTS


class NoPeers(Exception):
    """The peers from npm cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Peers:
    """Where they are installed."""

    folder: Path

    @property
    def node(self) -> Path:
        """The Node they run on: of a package, so that it does not depend on the machine."""
        return self.folder / "node_modules" / ".bin" / "node"

    def ask_postgraphile(
        self, company_id: int, shape: Shape, variables: Variables
    ) -> tuple[str, Variables]:
        """Return the document and the variables for a schema made of the tables."""
        match shape.name:
            case "Tiny":
                variables = {"id": str(key_of(variables["id"]))}
            case "Order":
                variables = {**variables, "company": company_id}
            case "List":
                _, sku, key = orjson.loads(urlsafe_b64decode(variables["after"] + "=="))
                variables = {"sku": sku, "id": str(key)}
        return DOCUMENTS[shape.name], variables


def install(data_dir: Path, say: Callable[[str], None]) -> Peers:
    """Install the peers, unless they are there and current.

    Raises:
        NoPeers: there is no npm, or the installation failed.

    """
    npm = shutil.which("npm")
    if npm is None:
        raise NoPeers("there is no npm on this machine")
    folder = data_dir / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    peers = Peers(folder.resolve())
    lock = folder / "package-lock.json"
    current = peers.node.exists() and lock.exists() and lock.read_bytes() == _lock()
    if not current:
        say("Installing Mercurius and PostGraphile, once")
        for name in FILES[:2]:
            shutil.copy(HERE / name, folder / name)
        installed = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund"],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
        )
        if installed.returncode != 0:
            lock.unlink(missing_ok=True)
            raise NoPeers(f"npm could not install them:\n{installed.stderr[-1_000:]}")
    for name in FILES[2:]:
        shutil.copy(HERE / name, folder / name)
    return peers


def _lock() -> bytes:
    return (HERE / "package-lock.json").read_bytes()
