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
    whole: bool = False
    """Whether it takes every column, and rows without words too."""


FORMATS: dict[str, Format] = {
    "parquet": Format("tables:write_parquet", "alt-text.parquet", "the manifest in one file", whole=True),
    "csv": Format("tables:write_csv", "alt-text.csv", "for spreadsheets; no cell is a formula"),
    "jsonl": Format("tables:write_jsonl", "alt-text.jsonl", "a JSON object a line, for a CMS"),
    "html": Format("pages:write_html", "html", "figures with alt text, caption and sound", is_folder=True),
    "vtt": Format("vtt:write_vtt", "narration.vtt", "WebVTT, one cue a clip"),
}
