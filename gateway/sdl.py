"""The SDL file: what clients read, committed beside the schema it is generated from."""

from difflib import unified_diff
from pathlib import Path

from schema.build import build_schema, text_of

SDL_FILE = Path(__file__).resolve().parent.parent / "schema" / "schema.graphql"


def current_sdl() -> str:
    """Return the SDL of the schema as the code defines it."""
    return text_of(build_schema())


def export_sdl() -> bool:
    """Write the SDL file; return whether that changed it."""
    text = current_sdl()
    if SDL_FILE.exists() and SDL_FILE.read_text("utf-8") == text:
        return False
    SDL_FILE.write_text(text, "utf-8")
    return True


def sdl_diff() -> list[str]:
    """Return the lines of a diff from the SDL file to the schema; empty when it is current."""
    committed = SDL_FILE.read_text("utf-8") if SDL_FILE.exists() else ""
    return list(
        unified_diff(
            committed.splitlines(),
            current_sdl().splitlines(),
            SDL_FILE.name,
            "the schema in code",
            lineterm="",
            n=1,
        )
    )
