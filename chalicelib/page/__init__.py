"""The pages for people with a browser; no script, no outside resource."""

import html
from importlib.resources import files


def home(base_url: str) -> str:
    """The page at `/`. `base_url` is how the client reached us; it is escaped."""
    page = files(__package__).joinpath("home.html").read_text(encoding="utf-8")
    return page.replace("{{base_url}}", html.escape(base_url))
