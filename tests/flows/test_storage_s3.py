"""Runs that read from and write to a real S3 server on loopback."""

import io
import json
import threading
from pathlib import Path

import duckdb
import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from gate import Gate
from narrating import Runs, make_photos
from stores import KEYS, Store, forget

from flows import lock, paths
from flows.errors import FlowError
from flows.features import add, kept
from flows.manifest import Manifest
from flows.output import opened
from flows.plan import Plan
from flows.reviews import Decision, MovedOnError, Reviews
from flows.storage import folder_at, read, remove, write_json


def put_photos(store: Store, folder: Path, count: int) -> None:
    for path in make_photos(folder, count):
        store.put(f"photos/{path.name}", path.read_bytes())


def rows(store: Store) -> dict[str, dict[str, object]]:
    parts = store.keys("out/manifest/")
    found = [row for part in parts for row in pq.read_table(io.BytesIO(store.get(part))).to_pylist()]
    assert len({row["id"] for row in found}) == len(found)
    return {str(row["id"]): row for row in found}


def test_a_run_into_a_bucket_writes_what_a_run_into_a_folder_writes(runs: Runs, store: Store):
    make_photos(runs.photos, 3)
    runs.run()

    summary = runs.run(out=f"{store.url}/out")

    assert summary.counts.described == 3
    assert {path: store.get(f"out/{path}") for path in runs.clips()} == runs.clips()
    kept = [key for key in store.keys("out/") if not key.startswith(("out/audio/", "out/report/", "out/runs/"))]
    assert kept == ["out/manifest/part-000000.parquet"]
    assert "out/report/index.html" in store.keys("out/report/")
    assert len(store.keys("out/runs/")) == 1
    assert not paths.scratch_folder(folder_at(f"{store.url}/out")).is_relative_to(runs.out)


def test_from_bucket_to_bucket_read_back_by_duckdb_and_a_second_run_fetches_no_photo(
    runs: Runs, store: Store, gate: Gate, tmp_path: Path
):
    put_photos(store, tmp_path / "made", 3)
    store.put("photos/deep er/é#?%20.png", (tmp_path / "made" / "000.png").read_bytes())
    store.put("photos/.hidden.png", b"x")
    whole = {"photos": f"{store.url}/photos", "out": f"{store.url}/out"}

    first = runs.run(**whole)
    asked = len(gate.asked)
    second = runs.run(**whole)

    with duckdb.connect() as base:
        base.register_filesystem(fsspec.filesystem("s3"))
        query = "SELECT id, status, uri, size_bytes, etag FROM read_parquet($parts) ORDER BY id"
        found = base.execute(query, {"parts": f"{store.url}/out/manifest/*.parquet"}).fetchall()
    assert [row[0] for row in found] == ["000.png", "001.png", "002.png", "deep er/é#?%20.png"]
    assert {row[1] for row in found} == {"described"}
    assert found[3][2] == f"{store.url}/photos/deep er/é#?%20.png"
    head = store.client.head_object(Bucket=store.bucket, Key="photos/001.png")
    assert found[1][3:] == (head["ContentLength"], head["ETag"].strip('"'))
    assert (first.counts.described, first.captioned) == (4, 3)
    assert (second.counts.taken_over, second.counts.committed) == (4, 0)
    assert [path for method, path in gate.asked[asked:] if method == "GET" and "/photos/" in path.split("?")[0]] == []


def test_an_object_put_again_is_told_by_its_etag_and_a_copy_of_the_same_bytes_is_not_fetched(
    runs: Runs, store: Store, tmp_path: Path
):
    put_photos(store, tmp_path / "made", 2)
    whole = {"photos": f"{store.url}/photos", "out": f"{store.url}/out"}
    runs.run(**whole)
    other = make_photos(tmp_path / "other", 8)[7].read_bytes()
    store.put("photos/000.png", other)
    store.put("photos/001.png", (tmp_path / "made" / "001.png").read_bytes())

    summary = runs.run(**whole)

    assert (summary.counts.taken_over, summary.captioned) == (1, 1)


def test_swapped_objects_keep_their_own_sound(runs: Runs, store: Store, tmp_path: Path):
    put_photos(store, tmp_path / "made", 2)
    whole = {"photos": f"{store.url}/photos", "out": f"{store.url}/out"}
    runs.run(**whole)
    first, second = (store.get(f"out/audio/00{number}.png.mp3") for number in (0, 1))
    store.put("photos/000.png", (tmp_path / "made" / "001.png").read_bytes())
    store.put("photos/001.png", (tmp_path / "made" / "000.png").read_bytes())

    summary = runs.run(**whole)

    assert (summary.captioned, summary.spoken) == (0, 0)
    assert store.get("out/audio/000.png.mp3") == second
    assert store.get("out/audio/001.png.mp3") == first


def test_a_server_that_is_too_busy_for_a_while_is_asked_again_and_nothing_is_lost(
    runs: Runs, store: Store, gate: Gate, tmp_path: Path
):
    put_photos(store, tmp_path / "made", 2)
    refused: list[str] = []

    def refuse(method: str, path: str) -> int | None:
        if len(refused) < 12 and (method, path) not in [tuple(one.split(" ", 1)) for one in refused]:
            refused.append(f"{method} {path}")
            return 503
        return None

    gate.refuse = refuse
    summary = runs.run(photos=f"{store.url}/photos", out=f"{store.url}/out")

    assert len(refused) == 12
    assert (summary.counts.described, summary.counts.failed) == (2, 0)
    assert {row["status"] for row in rows(store).values()} == {"described"}


def test_what_is_denied_is_asked_once_and_fails_with_its_reason(runs: Runs, store: Store, gate: Gate, tmp_path: Path):
    put_photos(store, tmp_path / "made", 2)
    gate.refuse = lambda method, path: 403 if method == "GET" and path.endswith("/photos/000.png") else None

    summary = runs.run(photos=f"{store.url}/photos", out=f"{store.url}/out")

    asked = [path for method, path in gate.asked if method == "GET" and path.endswith("/photos/000.png")]
    assert len(asked) == 1
    assert (summary.counts.described, summary.counts.failed) == (1, 1)
    row = rows(store)["000.png"]
    assert row["reason"] == "unreadable"
    assert "denies access" in str(row["message"])


def test_a_missing_bucket_and_missing_credentials_end_before_the_start(
    runs: Runs, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_photos(runs.photos, 1)
    with pytest.raises(
        FlowError, match=r"s3://no-such-bucket.*cannot be written \(there is no such file, folder or buck"
    ):
        runs.run(out="s3://no-such-bucket/out")
    with pytest.raises(FlowError, match=r"s3://no-such-bucket.*cannot be listed \(there is no such"):
        runs.run(photos="s3://no-such-bucket/photos")
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    forget()
    with pytest.raises(FlowError, match="no credentials are found; set AWS_ACCESS_KEY_ID"):
        runs.run(photos=f"{store.url}/photos")


def test_secrets_are_refused_in_an_address_and_never_written(runs: Runs, store: Store, tmp_path: Path):
    with pytest.raises(FlowError, match="holds a user name or a password") as refused:
        folder_at("s3://key:hunter2@bucket/out")
    assert "hunter2" not in str(refused.value)
    put_photos(store, tmp_path / "made", 1)
    runs.run(photos=f"{store.url}/photos", out=f"{store.url}/out")

    whole = b"".join(store.get(key) for key in store.keys("out/"))

    assert not any(value.encode() in whole for value in KEYS.values())


def test_a_killed_run_leaves_a_journal_and_half_a_shard_that_the_next_run_mends(
    runs: Runs, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put_photos(store, tmp_path / "made", 2)
    whole = {"photos": f"{store.url}/photos", "out": f"{store.url}/out"}
    runs.run(**whole, limit=1)
    store.put("out/audio/001.png.mp3", b"of a killed run")
    store.put("out/.narrate/publishing.json", b'["audio/000.png.mp3", "audio/001.png.mp3"]')
    store.put("out/.narrate/lock", json.dumps({"holder": "process 1 on a dead host", "token": "x"}).encode())
    monkeypatch.setattr(lock, "LAPSE_S", 2.0)

    summary = runs.run(**whole)

    assert (summary.counts.taken_over, summary.counts.described) == (1, 1)
    assert store.keys("out/.narrate/") == []
    assert store.get("out/audio/001.png.mp3") != b"of a killed run"


def test_old_clips_in_a_bucket_come_back_to_their_rows_where_a_run_dies_while_it_replaces_them(
    runs: Runs, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put_photos(store, tmp_path / "made", 1)
    whole = {"photos": f"{store.url}/photos", "out": f"{store.url}/out"}
    runs.run(**whole)
    before = store.get("out/audio/000.png.mp3")
    for where, name, is_old in [(Manifest, "commit", False), (Plan, "add", True)]:
        with monkeypatch.context() as patch:
            patch.setattr(where, name, _die)
            with pytest.raises(KeyboardInterrupt):
                runs.run(**whole, profile="none")
        assert (store.get("out/audio/000.png.mp3") == before) == is_old

    runs.run(**whole)

    assert store.get("out/audio/000.png.mp3") == before
    assert store.keys("out/.narrate/") == []


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_second_run_on_a_bucket_says_who_holds_it(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lock, "RENEW_S", 0.3)
    out = folder_at(f"{store.url}/out")

    with (
        opened(out),
        pytest.raises(FlowError, match=r"process \d+ on .* is at work in this output folder"),
        opened(out),
    ):
        pass

    assert store.keys("out/.narrate/") == []


def test_of_many_runs_that_find_a_lapsed_lock_at_once_one_gets_it(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.put("out/.narrate/lock", b'{"holder": "process 1", "token": "x"}')
    monkeypatch.setattr(lock, "LAPSE_S", 1.5)
    monkeypatch.setattr(lock, "RENEW_S", 0.3)
    out, held, refused = folder_at(f"{store.url}/out"), [], []
    everyone = threading.Barrier(4)

    def try_it() -> None:
        one = lock.StoreLock(out)
        everyone.wait()
        try:
            one.acquire()
        except FlowError:
            refused.append(one)
            return
        held.append(one)
        threading.Thread(target=one.keep, daemon=True).start()

    threads = [threading.Thread(target=try_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held[0].ended.set()

    assert (len(held), len(refused)) == (1, 3)


def test_a_run_that_lost_its_lock_commits_nothing_more(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lock, "RENEW_S", 0.05)
    one = lock.StoreLock(folder_at(f"{store.url}/out"))
    one.acquire()
    one.check()
    store.put("out/.narrate/lock", b'{"holder": "another", "token": "y"}')
    one.keep()

    with pytest.raises(FlowError, match="another run may be at work"):
        one.check()
    one.release()
    assert store.keys("out/.narrate/") == ["out/.narrate/lock"]


def test_decisions_in_a_bucket_are_appended_and_none_is_lost(store: Store):
    out = folder_at(f"{store.url}/out")
    mine, yours = Reviews(out), Reviews(out)
    made = Decision("a.png", "sha", "edited", "Ada", "2026-11-21", "A.", "B.")

    mine.decide(made, 0)
    with pytest.raises(MovedOnError):
        yours.decide(made, 0)
    yours.decide(made, 1)

    assert len(Reviews(out)) == 2
    assert store.get("out/reviews.jsonl").count(b"\n") == 2


def test_features_in_a_bucket_are_kept_part_by_part_and_a_cut_part_is_made_anew(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    out = folder_at(f"{store.url}/out")
    for name in "ab":
        add(out, "digest", [(name, np.ones(4, np.float32))])
    store.put("out/features/digest/part-000000.parquet", b"PAR1")

    assert kept(out, "digest", remove) == {"b"}
    add(out, "digest", [("a", np.ones(4, np.float32))])
    assert kept(out, "digest") == {"a", "b"}
    assert store.keys("out/") == [f"out/features/digest/part-00000{number}.parquet" for number in range(2)]


def test_a_glob_and_a_table_in_a_bucket_are_inputs_too(runs: Runs, store: Store, tmp_path: Path):
    put_photos(store, tmp_path / "made", 3)
    store.put("photos/table.csv", b"image,title\n000.png,One\n002.png,Three\n")
    write_json(folder_at(f"{store.url}/x.json"), {"a": 1}, tmp_path)
    assert json.loads(read(f"{store.url}/x.json")) == {"a": 1}

    globbed = runs.run(photos=f"{store.url}/photos/*[12].png", out=tmp_path / "globbed")
    tabled = runs.run(photos=f"{store.url}/photos/table.csv", out=f"{store.url}/out")

    assert globbed.counts.described == 2
    assert tabled.counts.described == 2
    assert json.loads(str(rows(store)["000.png"]["own"]))["title"] == "One"
