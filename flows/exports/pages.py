"""HTML: a figure with image, alt text, caption and sound for each photo, on pages of two hundred, to take from."""

from collections.abc import Iterator
from html import escape
from itertools import islice
from typing import TextIO

from flows.exports.published import Published
from flows.exports.target import Target

FIGURES_A_PAGE = 200

STYLE = """body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; color: #1b1b1b;
  background: #fff; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1.5rem; }
figure { margin: 0; }
img { width: 100%; height: auto; border-radius: .25rem; }
figcaption { margin-top: .25rem; overflow-wrap: anywhere; }
audio { display: block; width: 100%; margin-top: .25rem; }
nav a, nav span { display: inline-block; padding: .5rem; }
"""


def write_html(rows: Iterator[Published], target: Target) -> None:
    """Write pages of figures with their photos and clips beside them; the next page is linked from the one before."""
    (target.place / "page.css").write_text(STYLE, encoding="utf-8")
    number, waiting = 1, list(islice(rows, FIGURES_A_PAGE))
    while waiting or number == 1:
        following = list(islice(rows, FIGURES_A_PAGE))
        with (target.place / _name(number)).open("w", encoding="utf-8") as file:
            _write_page(file, number, waiting, target, is_last=not following)
        number, waiting = number + 1, following


def _write_page(file: TextIO, number: int, rows: list[Published], target: Target, *, is_last: bool) -> None:
    title = escape(target.told.title) + (f", page {number}" if number > 1 else "")
    file.write(
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f'<link rel="stylesheet" href="page.css">\n</head>\n<body>\n<header><h1>{title}</h1></header>\n<main>\n'
    )
    for one in rows:
        placed = target.copy_picture(one)
        if placed is not None:
            file.write(figure(one, *placed, None if one.is_decorative else target.copy_clip(one)))
            target.advance(1)
    links = [f'<a href="{_name(number - 1)}">Page before</a>'] if number > 1 else []
    links += [] if is_last else [f'<a href="{_name(number + 1)}">Next page</a>']
    pages = f'<nav aria-label="Pages">{" ".join(links)}</nav>\n' if links else ""
    file.write(f"</main>\n{pages}</body>\n</html>\n")


def figure(one: Published, source: str, width_px: int, height_px: int, clip: str | None) -> str:
    """Return the snippet of one photo.

    How the text was made stands in data attributes, not in words that a reader hears. The caption is the photo's title
    and never the alt text again: a screen reader would say it twice.
    """
    made = f' data-text-made-by="{escape(one.made_by)}"' if one.made_by else ""
    review = f' data-review="{escape(one.review)}"' if one.review else ""
    spoken = f' lang="{escape(one.language)}"' if one.alt_text else ""
    label = escape(f"Description of {one.title}, spoken")
    sound = f'\n<audio controls preload="none" src="{clip}" aria-label="{label}"{spoken}></audio>' if clip else ""
    title = "" if one.is_decorative else f"\n<figcaption>{escape(one.title)}{sound}</figcaption>"
    size = f'width="{width_px}" height="{height_px}"'
    return (
        f'<figure data-id="{escape(one.id)}" data-sha256="{one.sha256}"{made}{review}>\n'
        f'<img src="{source}" {size} alt="{escape(one.alt_text)}"{spoken} loading="lazy">{title}\n</figure>\n'
    )


def _name(number: int) -> str:
    return "index.html" if number == 1 else f"page-{number:04d}.html"
