"""The table of formats: what each is called, where it goes, and which rows it takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """One way to hand rows on."""

    writer: str
    """`module:function` below `flows.exports`, imported when it is wanted."""
    name: str
    """Name of the file or folder below OUT/exports."""
    about: str
    """What it is, in a few words."""
    is_folder: bool = False
    """Whether it is a folder of files."""
    needs_web: bool = False
    """Whether it holds its own address, and so must know where it will be served."""
    beside: bool = False
    """Whether it writes a file for each photo, beside it, and each of them whole."""
    last_run: bool = False
    """Whether it takes only the rows that the last run committed."""
    whole: bool = False
    """Whether it takes every column, and rows without words too."""
    doubtful: bool = True
    """Whether it takes rows without a reliable description that no person approved or edited."""


FORMATS: dict[str, Format] = {
    "parquet": Format("tables:write_parquet", "alt-text.parquet", "the manifest in one file", whole=True),
    "csv": Format("tables:write_csv", "alt-text.csv", "for spreadsheets; no cell is a formula"),
    "jsonl": Format("tables:write_jsonl", "alt-text.jsonl", "a JSON object a line, for a CMS"),
    "html": Format("pages:write_html", "html", "figures with alt text, caption and sound", is_folder=True),
    "iiif": Format("iiif:write_iiif", "iiif", "IIIF Presentation 3, with annotations", is_folder=True, needs_web=True),
    "epub": Format("epub:write_epub", "narration.epub", "EPUB 3 that reads itself aloud"),
    "podcast": Format(
        "podcast:write_podcast", "podcast", "a feed with a chapter a photo", True, needs_web=True, doubtful=False
    ),
    "digest": Format(
        "digest:write_digest", "digest", "what is new, in under two minutes", True, last_run=True, doubtful=False
    ),
    "xmp": Format("xmp:write_xmp", "", "IPTC alt text as XMP sidecars, beside the photos", beside=True, doubtful=False),
    "vtt": Format("vtt:write_vtt", "narration.vtt", "WebVTT, one cue a clip", doubtful=False),
}
