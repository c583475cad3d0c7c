"""The way of a calibration: load the captioner, caption what is at hand and what is drawn, fit, judge, write."""

from collections.abc import Callable
from pathlib import Path

from captioner.calibrate import amount, findings, fit
from captioner.captioning import Wanted
from captioner.confidence import calibration_json
from captioner.dataset import Example, find_data
from captioner.doubt_report import by_doubt, draw_diagrams, draw_sheet, judged, table
from captioner.evaluate import card_with
from captioner.weights import replace_files

MARKS = ("<!-- confidence -->", "<!-- end of confidence -->")
"""Between these lines of a card stands how sure the captioner is."""
DIAGRAMS = "confidence.png"
"""Name of the diagrams beside the calibration."""


def photos_to_calibrate_on(data: Path) -> list[Example]:
    """Return the photos of a folder that are kept from training, or all of them where none are; raise DataError."""
    found = find_data(data)
    return found.dev or found.train


def calibrate(
    wanted: Wanted,
    examples: list[Example],
    device: str,
    sheet: Path | None,
    counting: Callable[[int], Callable[[int], None]],
) -> str:
    """Calibrate a captioner and write the calibration, its diagrams and, in a folder of ours, its card.

    Returns what was measured. Raises DataError where the photos are too few, ModelError where there is no captioner.
    """
    description = wanted.describe()
    captioner = wanted.load(device)
    found = findings(captioner, examples, counting(amount(examples)))
    calibration = judged(found, fit(found, description.weights_digest))
    told = table(calibration)
    folder = description.calibration.parent
    files = {description.calibration.name: calibration_json(calibration)}
    files[description.calibration.with_suffix(".png").name] = draw_diagrams(found, calibration)
    if (description.folder / "CARD.md").is_file() and folder == description.folder:
        block = f"![reliability, and risk by coverage]({DIAGRAMS})\n\n{told}"
        files["CARD.md"] = card_with(folder, block, MARKS).encode()
    replace_files(folder, files)
    if sheet is not None:
        places = by_doubt(found, calibration)
        said = [found.photos.captions[place] for place in places]
        sure = [calibration.doubt(one.signals, found.photos.pooled[at], found.photos.regions[at]).confidence
                for at, one in zip(places, said, strict=True)]  # fmt: skip
        marks = ["right" if found.right[place] else "WRONG" for place in places]
        words = [f"{share:.2f} {mark}: {one.text}" for share, mark, one in zip(sure, marks, said, strict=True)]
        draw_sheet([examples[place].read() for place in places], words, sheet)
    return told
