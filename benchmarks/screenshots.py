"""Does the captioner abstain from real screenshots and real pages of text? A browser draws them.

    python benchmarks/screenshots.py --csv benchmarks/screenshots.csv --keep FOLDER

Ten screens of programs and ten pages of text (files of this repository, print-like), each on a desk's screen and on a
telephone's: forty pictures that no part of the calibration has seen.
"""

import argparse
import csv
import html
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from captioner.captioning import Captioner
from captioner.photos import open_photo
from captioner.records import Photo

ROOT = Path(__file__).parents[1]
SIZES = {"desk": (1280, 800), "telephone": (390, 844)}
"""Width and height in pixels."""
PLAIN = "<style>body{font:16px sans-serif;margin:1em}table{border-collapse:collapse}td,th{border:1px solid #bbb;"
PLAIN += (
    "padding:.4em .8em}.dark{background:#1e1e1e;color:#ddd}input,select{font:inherit;display:block;margin:.3em 0 1em;"
)
PLAIN += (
    "width:20em;max-width:90%}button{font:inherit;padding:.5em 1.5em;background:#0a6cd6;color:#fff;border:0}</style>"
)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table of cells."""
    lines = ["".join(f"<th>{one}" for one in head), *("".join(f"<td>{one}" for one in row) for row in rows)]
    return f"<table><tr>{'<tr>'.join(lines)}</table>"


def screens() -> dict[str, str]:
    """Return the body of a page for each screen of a program."""
    cells = [[f"{row * 7 + column * 13 % 97}" for column in range(12)] for row in range(30)]
    days = [[str(7 * week + day + 1) for day in range(7)] for week in range(5)]
    mails = [[name, subject, f"{at}:05"] for at, (name, subject) in enumerate(MAILS, 9)]
    code = html.escape("\n".join((ROOT / "flows" / "plan.py").read_text(encoding="utf-8").splitlines()[:60]))
    log = "<br>".join(f"$ step {n}: read {n * 37} files, wrote {n * 3}, {n / 10:.1f} s" for n in range(1, 40))
    said = "".join(
        f"<p style='margin-left:{n % 2 * 30}%;background:#dcf8c6;padding:.6em'>{one}" for n, one in enumerate(CHAT)
    )
    bars = "".join(
        f"<rect x='{40 + n * 45}' y='{300 - h}' width='30' height='{h}' fill='#37c'/>" for n, h in enumerate(BARS)
    )
    return {
        "form": "<h1>Your account</h1>"
        + "".join(f"<label>{one}<input value='{one} 1'></label>" for one in FIELDS)
        + "<button>Save</button>",
        "spreadsheet": table(list("ABCDEFGHIJKL"), cells),
        "calendar": "<h1>November</h1>" + table(["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"], days),
        "mail": "<h1>Inbox</h1>" + table(["From", "Subject", "Time"], mails),
        "editor": f"<body class=dark><pre>{code}</pre>",
        "terminal": f"<body style='background:#000;color:#0f0;font:14px monospace'>{log}",
        "chat": f"<h2>Ann and Bo</h2>{said}",
        "chart": "<h1>Sales by month</h1><svg width=640 height=320><line x1=30 y1=300 x2=620 y2=300 stroke='#333'/>"
        f"{bars}</svg>",
        "sign in": "<div style='margin:20vh auto;width:20em'><h1>Sign in</h1><input value='ann@example.org'>"
        "<input type=password value=secret><button>Sign in</button></div>",
        "error": "<div style='margin:25vh auto;max-width:26em;text-align:center'><h1>Something went wrong</h1>"
        "<p>The page could not be loaded. Check the connection and try again.<p><button>Try again</button></div>",
    }


FIELDS = ["Name", "Street", "Town", "Telephone", "E-mail"]
MAILS = [
    ("Ann", "Lunch on Friday?"),
    ("Bank", "Your statement is ready"),
    ("Bo", "Photos of the trip"),
    ("Library", "Two books are due"),
    ("Shop", "Your parcel is on its way"),
    ("Cy", "Re: minutes"),
]
CHAT = [
    "Are you coming tonight?",
    "Yes, at eight.",
    "Bring the big pot, please.",
    "I will. Who else is there?",
    "Cy and Dot, perhaps Eve.",
    "See you then!",
]
BARS = [90, 140, 60, 200, 230, 180, 120, 250, 210, 160, 80, 110]
PAGES = [
    "LICENSE",
    "README.md",
    "LOG.md",
    "CONTRIBUTING.md",
    "data/SOURCES.md",
    "data/samples/SOURCES.md",
    "data/models/narrator-lite/CARD.md",
    "CHANGELOG.md",
    "requirements.lock",
    "benchmarks/overlap.csv",
]


def pages() -> dict[str, str]:
    """Return the body of a page for each file of this repository, in several faces."""
    looks = ["font:16px/1.5 serif;max-width:44em", "font:15px sans-serif;column-count:2", "font:13px monospace"]
    texts = {name: html.escape((ROOT / name).read_text(encoding="utf-8")[:9000]) for name in PAGES}
    return {
        name: f"<div style='white-space:pre-wrap;margin:2em auto;{looks[n % 3]}'>{text}</div>"
        for n, (name, text) in enumerate(texts.items())
    }


def shoot(folder: Path) -> dict[tuple[str, str, str], Path]:
    """Draw every page in every size; kind, name and size to the picture."""
    made = {}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        for size, (width, height) in SIZES.items():
            tab = browser.new_page(viewport={"width": width, "height": height})
            for kind, bodies in (("screen", screens()), ("page", pages())):
                for number, (name, body) in enumerate(bodies.items()):
                    tab.set_content(PLAIN + body)
                    made[kind, name, size] = folder / f"{kind}-{number}-{size}.png"
                    tab.screenshot(path=made[kind, name, size])
        browser.close()
    return made


def main() -> None:
    """Draw, caption, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, help="file to write the table to")
    parser.add_argument("--keep", type=Path, help="folder for the pictures")
    options = parser.parse_args()
    captioner, rows = Captioner.load(), []
    with TemporaryDirectory() as passing:
        folder = options.keep or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        for (kind, name, size), path in shoot(folder).items():
            photo = open_photo(path, captioner.input_size_px)
            if not isinstance(photo, Photo):
                raise SystemExit(f"{path}: {photo.message}")
            caption = captioner.decode(captioner.encode([photo]))[0]
            abstains, lettered = (rule in caption.doubts for rule in ("no-reliable-description", "contains-text"))
            rows.append(
                {
                    "kind": kind,
                    "page": name,
                    "size": size,
                    "no_reliable_description": abstains,
                    "contains_text": lettered,
                    "confidence": caption.confidence,
                    "caption": caption.text,
                }
            )
    for kind in ("screen", "page"):
        those = [row for row in rows if row["kind"] == kind]
        counts = [sum(bool(row[name]) for row in those) for name in ("no_reliable_description", "contains_text")]
        print(f"{kind}: {len(those)} pictures, no reliable description {counts[0]}, contains text {counts[1]}")
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
