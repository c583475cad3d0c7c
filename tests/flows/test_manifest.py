"""The manifest: each id once, in one part for ever, whole at every instant."""

import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows import paths
from flows.digests import Digests
from flows.errors import FlowError
from flows.manifest import ROWS_A_PART, Manifest
from flows.plan import Plan
from flows.records import Row, Source
from flows.reviews import Reviews
from flows.schema import COLUMNS, SCHEMA, VERSION

DIGESTS = Digests("captioner", "alt", "voice", "audio")
TIME = datetime(2026, 11, 21, tzinfo=UTC)


def row(photo_id: str, **changes: object) -> Row:
    whole = dict.fromkeys(COLUMNS) | {"id": photo_id, "uri": "file:///x", "status": "described", "size_bytes": 1}
    whole |= {"mtime": TIME, "sha256": photo_id, "run_id": "r", "committed_at": TIME, "needs_review": False}
    whole |= {
        "captioner_digest": "captioner",
        "alt_text_digest": "alt",
        "voice_digest": "voice",
        "audio_digest": "audio",
    }
    return whole | changes


def commit(out: Path, rows: list[Row]) -> None:
    with Plan(Manifest(out), DIGESTS, out / ".narrate", Reviews(out)) as plan:
        plan.commit(rows)


def test_a_plain_reader_of_the_folder_sees_each_row_with_every_column(tmp_path: Path):
    commit(tmp_path, [row("a.jpg"), row("b.jpg")])

    frame = pd.read_parquet(tmp_path / "manifest")

    assert list(frame.columns) == list(COLUMNS)
    assert list(frame["id"]) == ["a.jpg", "b.jpg"]


def test_new_rows_fill_the_last_part_before_a_new_one_begins(tmp_path: Path):
    commit(tmp_path, [row(f"{number}.jpg") for number in range(ROWS_A_PART - 2)])
    commit(tmp_path, [row(f"new-{number}.jpg") for number in range(5)])

    sizes = [pq.ParquetFile(path).metadata.num_rows for path in sorted((tmp_path / "manifest").iterdir())]

    assert sizes == [ROWS_A_PART, 3]


def test_a_row_done_again_stays_in_its_part_and_is_there_once(tmp_path: Path):
    commit(tmp_path, [row(f"{number}.jpg") for number in range(ROWS_A_PART + 1)])
    commit(tmp_path, [row("0.jpg", alt_text="Anew."), row("fresh.jpg")])

    first = pd.read_parquet(paths.part_path(tmp_path, 0)).set_index("id")
    whole = pd.read_parquet(tmp_path / "manifest")

    assert first.loc["0.jpg", "alt_text"] == "Anew."
    assert whole["id"].is_unique
    assert len(whole) == ROWS_A_PART + 2


def test_a_reader_beside_a_writer_never_misses_or_doubles_a_row(tmp_path: Path):
    """A thread reads the folder over and over while every part is rewritten many times."""
    names = [f"{number}.jpg" for number in range(ROWS_A_PART * 2)]
    commit(tmp_path, [row(name) for name in names])
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            table = ds.dataset(tmp_path / "manifest", format="parquet").to_table(columns=["id"])
            seen.append(len(set(table.column("id").to_pylist())) if table.num_rows == len(names) else -1)

    reader = threading.Thread(target=read)
    reader.start()
    with Plan(Manifest(tmp_path), DIGESTS, tmp_path / ".narrate", Reviews(tmp_path)) as plan:
        for turn in range(20):
            plan.commit([row(names[turn], alt_text=str(turn)), row(names[-1 - turn], alt_text=str(turn))])
    done.set()
    reader.join()

    assert seen
    assert set(seen) == {len(names)}


def test_half_written_parts_lie_where_no_reader_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commit(tmp_path, [row("a.jpg")])
    real = pq.write_table

    def write_half(table: pa.Table, where: Path, **options: object) -> None:
        real(table, where, **options)
        where.write_bytes(where.read_bytes()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", write_half)
    with pytest.raises(OSError, match="No space"):
        commit(tmp_path, [row("b.jpg")])

    assert list(pd.read_parquet(tmp_path / "manifest")["id"]) == ["a.jpg"]
    assert [path.name for path in (tmp_path / "manifest").iterdir()] == ["part-000000.parquet"]


def test_a_broken_part_is_named_with_what_mends_it(tmp_path: Path):
    commit(tmp_path, [row("a.jpg")])
    path = paths.part_path(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:50])

    with pytest.raises(FlowError, match=r"part-000000\.parquet: this part of the manifest cannot be read"):
        commit(tmp_path, [row("b.jpg")])


def test_a_part_of_another_program_is_not_touched(tmp_path: Path):
    path = paths.part_path(tmp_path, 0)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a"]}), path)

    with pytest.raises(FlowError, match=r"cannot be read|version"):
        commit(tmp_path, [row("b.jpg")])

    assert pq.read_table(path).column_names == ["id"]


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.lists(st.sampled_from([f"{n}.jpg" for n in range(30)]), unique=True), max_size=6))
def test_whatever_the_order_of_commits_each_id_is_there_once_with_its_last_words(
    batches: list[list[str]], tmp_path_factory: pytest.TempPathFactory
):
    out = tmp_path_factory.mktemp("out")
    last: dict[str, str] = {}
    for number, names in enumerate(batches):
        commit(out, [row(name, alt_text=str(number)) for name in names])
        last |= dict.fromkeys(names, str(number))

    rows = {found["id"]: found["alt_text"] for _, found in Manifest(out).read(["id", "alt_text"])}

    assert rows == last
    assert Manifest(out).count() == len(last)


def source(photo_id: str, size_bytes: int = 1) -> Source:
    return Source(photo_id, f"file:///{photo_id}", size_bytes, TIME)


def described(out: Path, photo_id: str, **changes: object) -> Row:
    clip = out / "audio" / f"{photo_id}.mp3"
    clip.parent.mkdir(parents=True, exist_ok=True)
    clip.write_bytes(b"clip")
    return row(photo_id, audio_path=f"audio/{photo_id}.mp3", **changes)


def to_do(out: Path, sources: list[Source], digests: Digests = DIGESTS) -> list[str]:
    with Plan(Manifest(out), digests, out / ".narrate", Reviews(out)) as plan:
        plan.add(sources)
        plan.mark(None)
        return [work.source.id for work in plan.works()]


def test_only_new_changed_failed_and_clipless_photos_are_to_do(tmp_path: Path):
    troubled = [row("failed.jpg", status="failed", reason="unreadable"), row("refused.jpg", status="refused")]
    commit(tmp_path, [described(tmp_path, "same.jpg"), described(tmp_path, "grown.jpg"), *troubled])
    commit(tmp_path, [row("lost.jpg", audio_path="audio/no.mp3")])
    sources = [source(name) for name in ("same.jpg", "lost.jpg", "failed.jpg", "refused.jpg", "new.jpg")]

    assert to_do(tmp_path, [*sources, source("grown.jpg", 2)]) == ["failed.jpg", "grown.jpg", "lost.jpg", "new.jpg"]


@pytest.mark.parametrize("stage", ["captioner", "alt_text", "voice", "audio"])
def test_a_changed_digest_of_any_stage_makes_the_row_to_do(tmp_path: Path, stage: str):
    commit(tmp_path, [described(tmp_path, "a.jpg")])

    assert to_do(tmp_path, [source("a.jpg")], Digests(**(vars(DIGESTS) | {stage: "other"}))) == ["a.jpg"]


def test_two_names_that_are_one_once_normalised_get_two_rows(tmp_path: Path):
    first, second = source("é.jpg"), Source("é.jpg", "file:///e%CC%81.jpg", 1, TIME)

    names = to_do(tmp_path, [first, second])

    assert len(names) == 2
    assert all(name.endswith(".jpg") for name in names)


def test_the_scratch_file_of_a_plan_is_removed(tmp_path: Path):
    to_do(tmp_path, [source("a.jpg")])

    assert list((tmp_path / ".narrate").iterdir()) == []


OLD_PARTS = Path(__file__).parent / "parts"
"""Parts as older versions of this program wrote them, one for each version."""


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_part_of_an_older_version_is_read_whole_and_renewed(tmp_path: Path, version: int):
    path = paths.part_path(tmp_path, 0)
    path.parent.mkdir(parents=True)
    shutil.copy(OLD_PARTS / f"version-{version}.parquet", path)
    before = pq.read_table(path)

    rows = [found for _, found in Manifest(tmp_path).read(list(COLUMNS))]
    Manifest(tmp_path).renew()
    after = pq.read_table(path)

    assert pq.read_schema(path).metadata[b"image_narrator_version"] == str(VERSION).encode()
    assert after.to_pylist() == rows
    assert after.select(before.column_names).to_pylist() == before.to_pylist()
    assert list(pd.read_parquet(tmp_path / "manifest").columns) == list(COLUMNS)


def test_the_words_of_version_1_are_the_captioners_own(tmp_path: Path):
    paths.manifest_folder(tmp_path).mkdir()
    shutil.copy(OLD_PARTS / "version-1.parquet", paths.part_path(tmp_path, 0))

    found = {row["id"]: row["words_by"] for _, row in Manifest(tmp_path).read(["id", "words_by"])}

    assert found == {"empty.jpg": None, "quarters.jpg": "captioner", "rotated.jpg": "captioner"}


def test_a_part_of_this_version_is_not_rewritten(tmp_path: Path):
    commit(tmp_path, [row("a.jpg")])
    before = paths.part_path(tmp_path, 0).stat()

    Manifest(tmp_path).renew()

    assert paths.part_path(tmp_path, 0).stat().st_ino == before.st_ino


def test_a_part_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path):
    paths.manifest_folder(tmp_path).mkdir()
    newer = pa.table([[] for _ in SCHEMA], SCHEMA.with_metadata({"image_narrator_version": str(VERSION + 1)}))
    pq.write_table(newer, paths.part_path(tmp_path, 0))

    with pytest.raises(FlowError, match=f"has version {VERSION + 1}, and this program writes version {VERSION}"):
        Manifest(tmp_path).renew()

    assert pq.read_schema(paths.part_path(tmp_path, 0)).metadata[b"image_narrator_version"] == str(VERSION + 1).encode()
