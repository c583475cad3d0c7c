"""A calibration judged on what it was not fitted on: figures, the table of a card, diagrams, a sheet by doubt."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.calibrate import Findings, left_out_scores, signals_of
from captioner.confidence import HAS_TEXT, NO_DESCRIPTION, Calibration
from captioner.logistic import Flags, Numbers, aurc, auroc, expected_calibration_error, reliability, risk_by_coverage

SHARES = (0.20, 0.15, 0.10, 0.05)
"""Shares of wrong captions that the card has a line for."""
SHEET_PHOTOS = 20
"""Photos on a sheet, evenly spread from the least sure to the surest."""


def judged(found: Findings, calibration: Calibration) -> Calibration:
    """Return the calibration with its curve of risk, and with everything that was measured."""
    held = found.photos.those(~found.fitted)
    right, confidence = found.right[~found.fitted], held.confidences(calibration)
    calibration = replace(calibration, risk=risk_table(confidence, right))
    logprob = held.inputs(["mean_logprob"])[:, 0]
    figures: dict[str, Any] = {
        "photos": {"fitted": int(found.fitted.sum()), "held": len(right)},
        "right": float(right.mean()),
        "ece": expected_calibration_error(confidence, right),
        "aurc": {
            "confidence": aurc(confidence, right),
            "logprob": aurc(logprob, right),
            "perfect": aurc(right.astype(np.float64), right),
        },
        "auroc": {"confidence": auroc(confidence, right), "logprob": auroc(logprob, right)},
        "abstains": _abstains(found, calibration),
        "abstains_by_pixels": _abstains(found, replace(calibration, picture=calibration.pixels)),
        "transfer": [[share, *_transfer(found, confidence, right, share)] for share in SHARES],
    }
    if calibration.text is not None:
        figures["text"] = _text_figures(found, calibration)
    return replace(calibration, figures=_rounded(figures))


def risk_table(confidence: Numbers, right: Flags) -> tuple[tuple[float, float, float], ...]:
    """Return threshold, coverage and share wrong at each confidence that was met, falling."""
    order = np.argsort(-confidence, kind="stable")
    met, wrong = confidence[order], np.cumsum(~right[order])
    last = np.flatnonzero(np.diff(met, append=-1.0))
    return tuple((float(met[at]), (at + 1) / len(order), float(wrong[at]) / (at + 1)) for at in last.tolist())


def _abstains(found: Findings, calibration: Calibration) -> dict[str, list[int]]:
    """Return for each kind of picture how many it abstains from, and of how many."""
    pictures = found.drawn["report"] | {"photo": found.photos.those(~found.fitted)}
    flags = {kind: seen.flagged(calibration, NO_DESCRIPTION) for kind, seen in pictures.items()}
    return {kind: [int(one.sum()), len(one)] for kind, one in flags.items()}


def _text_figures(found: Findings, calibration: Calibration) -> dict[str, list[int]]:
    """Return for each kind of picture how many it flags as showing text, and of how many."""
    pictures = {"words on photos": found.overlaid["report"], "photos": found.photos.those(~found.fitted)}
    flags = {kind: seen.flagged(calibration, HAS_TEXT) for kind, seen in (pictures | found.drawn["report"]).items()}
    return {kind: [int(one.sum()), len(one)] for kind, one in flags.items()}


def _transfer(found: Findings, confidence: Numbers, right: Flags, share: float) -> tuple[float, float]:
    """Choose a threshold for a share on the fitted half; return what the other half keeps, and how much is wrong."""
    photos, fitted = found.photos.those(found.fitted), found.right[found.fitted]
    scores = left_out_scores(photos.inputs(signals_of(photos)), fitted)  # of captions that the line did not see
    order = np.argsort(-scores, kind="stable")
    kept = np.flatnonzero(np.cumsum(~fitted[order]) / np.arange(1, len(order) + 1) <= share)
    coverage = (kept[-1] + 1) / len(order) if len(kept) else 0.0
    published = confidence >= np.quantile(confidence, 1 - coverage) if coverage else np.zeros(len(right), dtype=bool)
    return float(published.mean()), float((~right[published]).mean()) if published.any() else 0.0


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def table(calibration: Calibration) -> str:
    """Return what was measured, as the card tells it."""
    figures = calibration.figures
    areas, ranks, counts = figures["aurc"], figures["auroc"], figures["photos"]
    area = f"{areas['confidence']:.4f}"
    lines = [
        f"Fitted on {counts['fitted']} photos; {figures['right']:.1%} of {counts['held']} others are captioned right.",
        "",
        "| | confidence | mean log-probability alone | perfect |",
        "| --- | --- | --- | --- |",
        f"| expected calibration error, ten bins | {figures['ece']:.3f} | | 0 |",
        f"| area under risk by coverage (AURC) | {area} | {areas['logprob']:.4f} | {areas['perfect']:.4f} |",
        f"| right above wrong (AUROC) | {ranks['confidence']:.3f} | {ranks['logprob']:.3f} | 1 |",
        "",
        *_risk_lines(calibration),
        "",
        *_picture_lines(figures),
    ]
    return "\n".join(lines)


def _risk_lines(calibration: Calibration) -> list[str]:
    lines = ["| `--max-wrong` | least confidence | published as sure | chosen on the fitted half: published, wrong |",
             "| --- | --- | --- | --- |"]  # fmt: skip
    for share, coverage, wrong in calibration.figures["transfer"]:
        kept = f"{calibration.threshold(share):.3f} | {calibration.coverage(share):.1%}"
        lines.append(f"| {share:.0%} | {kept} | {coverage:.1%}, {wrong:.1%} |")
    return lines


def _picture_lines(figures: dict[str, Any]) -> list[str]:
    names = {"blank": "drawn blanks", "noise": "drawn noise", "screen": "drawn screens", "page": "drawn pages of text"}
    names |= {
        "photo": "held-out photos",
        "photos": "held-out photos",
        "words on photos": "such photos with words laid over",
    }
    lines = [
        "| pictures | no reliable description | by the pixels alone | contains text |",
        "| --- | --- | --- | --- |",
    ]
    text = figures.get("text", {})
    for kind, (some, count) in figures["abstains"].items():
        shown, plain = text.get("photos" if kind == "photo" else kind), figures["abstains_by_pixels"][kind][0]
        lettered = f"{shown[0]} of {shown[1]}" if shown else ""
        lines.append(f"| {names[kind]} | {some} of {count} | {plain} of {count} | {lettered} |")
    if "words on photos" in text:
        hits, total = text["words on photos"]
        false, plain = text["photos"]
        lines.append(f"| {names['words on photos']} | | | {hits} of {total} |")
        precision = hits / total / max(1e-9, hits / total + false / plain)
        measured = f"precision {precision:.2f}, recall {hits / total:.2f}"
        told = f"`contains-text`, as many photos with words laid over as without: {measured}."
        lines += ["", f"{told} Photos that show lettering by themselves count as without."]
    return lines


def draw_diagrams(found: Findings, calibration: Calibration) -> bytes:
    """Draw reliability and risk by coverage of the photos that were not fitted on, as one PNG."""
    from matplotlib.figure import Figure

    held = found.photos.those(~found.fitted)
    right, confidence = found.right[~found.fitted], held.confidences(calibration)
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    _draw_reliability(figure.add_subplot(1, 2, 1), confidence, right)
    axes = figure.add_subplot(1, 2, 2)
    coverage = np.arange(1, len(right) + 1) / len(right)
    logprob = held.inputs(["mean_logprob"])[:, 0]
    for name, score in (
        ("confidence", confidence),
        ("mean log-probability", logprob),
        ("perfect", right.astype(np.float64)),
    ):
        look: dict[str, Any] = {"linestyle": ":", "color": "grey"} if name == "perfect" else {}
        axes.plot(coverage, risk_by_coverage(score, right), label=f"{name}, area {aurc(score, right):.3f}", **look)
    axes.set(
        title="Risk by coverage", xlabel="share of captions published", ylabel="share wrong among these", ylim=(0, 0.5)
    )
    axes.grid(alpha=0.3)
    axes.legend()
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=80)
    return stream.getvalue()


def _draw_reliability(axes: Any, confidence: Numbers, right: Flags) -> None:
    bins = reliability(confidence, right)
    said, found, share = (np.array(one) for one in zip(*bins, strict=True))
    spread = np.sqrt(np.maximum(found * (1 - found), 0.01) / (share * len(right)))
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.errorbar(said, found, yerr=spread, fmt="o-", capsize=3)
    for x, y, part in zip(said, found, share, strict=True):
        axes.annotate(f"{part * len(right):.0f}", (x, y), textcoords="offset points", xytext=(6, -12), fontsize=8)
    error = expected_calibration_error(confidence, right)
    axes.set(
        title=f"Reliability: calibration error {error:.3f}",
        xlabel="confidence (beside each point: number of captions)",
        ylabel="share right, with its standard error",
        xlim=(0, 1.03),
        ylim=(0, 1.02),
    )
    axes.grid(alpha=0.3)


def by_doubt(found: Findings, calibration: Calibration) -> list[int]:
    """Return places of photos that were not fitted on, evenly spread from the least sure to the surest."""
    held = np.flatnonzero(~found.fitted)
    order = held[np.argsort(found.photos.those(~found.fitted).confidences(calibration), kind="stable")]
    return [int(order[at]) for at in np.linspace(0, len(order) - 1, SHEET_PHOTOS).round().astype(int)]


def draw_sheet(pixels: Sequence[NDArray[np.uint8]], captions: Sequence[str], path: Path) -> None:
    """Draw photos, each (H, W, 3), with what is said of them, five in a row."""
    from captioner.pictures import draw_contact_sheet

    draw_contact_sheet(pixels, [textwrap.shorten(one, 120) for one in captions], path)
