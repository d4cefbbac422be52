"""The web page at `/`: static HTML without scripts and without resources from elsewhere."""

import html
from importlib.resources import files


def home(base_url: str) -> str:
    """The page. `base_url` is the address by which the client reached this service; it is escaped."""
    page = files(__package__).joinpath("home.html").read_text(encoding="utf-8")
    return page.replace("{{base_url}}", html.escape(base_url))
