"""What a search found, as a page with thumbnails beside the report and as JSON: `OUT/search/`."""

from typing import Any

from jinja2 import Environment

from flows import paths
from flows.console import amount
from flows.page import web_file
from flows.search import Query
from flows.storage import Folder, size_of, write_json, write_text

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>{{ css }}
#photos { grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)) }
.hit { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .75rem }
.hit .picture img, .hit .picture .none { height: 12rem; object-fit: cover }
.hit h2 { font-size: .85rem; font-weight: 500; margin: 0; color: var(--soft); overflow-wrap: anywhere }
.hit .alt { font-size: 1.05rem; margin: .5rem 0 .35rem }
header .about { color: var(--soft) }
.example { max-height: 8rem; border-radius: 6px }
</style>
</head>
<body>
<header><div>
<h1>{{ title }}</h1>
<p class="about">{{ count }}, {{ how }}. <a href="../report/index.html">All photos</a></p>
</div></header>
<main>
<ol id="photos">
{% for hit in hits %}<li class="hit">
<div class="picture">{% if hit.thumbnail %}<img src="{{ hit.thumbnail }}" alt="{{ hit.text }}" loading="lazy">\
{% else %}<span class="none">no picture</span>{% endif %}</div>
<p class="alt">{{ hit.text or "no words" }}</p>
<h2>{{ loop.index }}. {{ hit.id }}</h2>
<ul class="facts"><li>{{ "%.2f"|format(hit.score) }}</li></ul>
</li>
{% else %}<li class="hit"><p class="alt">Nothing was found.</p></li>
{% endfor %}</ol>
</main>
</body>
</html>
"""


HOW = {
    "words": "by the words of their alt text",
    "meaning": "by the meaning of their alt text",
    "features": "by what {captioner} sees",
}
"""What a search goes by, for the page's head."""


def write_results(query: Query, hits: list[dict[str, Any]]) -> Folder:
    """Write the page and the JSON of a search, the newest over the one before; return the page's path."""
    scratch, page = paths.scratch_folder(query.out), paths.search_page_path(query.out)
    shown = [hit | {"thumbnail": _thumbnail(query.out, hit["sha256"])} for hit in hits]
    told = {"query": query.text or None, "like": str(query.like) if query.like else None, "by": query.goes_by}
    told |= {"captioner": query.captioner if query.goes_by == "features" else None}
    write_json(page.parent / "results.json", told | {"photos": hits}, scratch)
    title = f"Photos: {query.text}" if query.text else f"Photos like {query.like.name if query.like else ''}"
    how = HOW[query.goes_by].format(captioner=query.captioner)
    made = Environment(autoescape=True).from_string(_PAGE)
    count = amount(len(hits), "photo")
    write_text(page, made.render(title=title, how=how, count=count, hits=shown, css=web_file("page.css")), scratch)
    return page


def _thumbnail(out: Folder, sha256: str | None) -> str | None:
    """Return the thumbnail's path from the page, where there is one."""
    if sha256 is None:
        return None
    path = f"report/{paths.thumbnail_path(sha256)}"
    return f"../{path}" if size_of(out / path) is not None else None
