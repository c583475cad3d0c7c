"""Runs that read from and write to a real S3 server on loopback."""

import io

import pyarrow.parquet as pq
from narrating import Runs, make_photos
from stores import Store


def put_photos(runs: Runs, store: Store, count: int) -> None:
    for path in make_photos(runs.photos.parent / "made", count):
        store.put(f"photos/{path.name}", path.read_bytes())


def rows(store: Store) -> list[dict[str, object]]:
    parts = list(store.keys("out/manifest/"))
    return [row for key in parts for row in pq.read_table(io.BytesIO(store.get(key))).to_pylist()]


def test_a_run_into_a_bucket_writes_what_a_run_into_a_folder_writes(runs: Runs, store: Store):
    make_photos(runs.photos, 3)
    runs.run()

    summary = runs.run(out=f"{store.url}/out")

    assert summary.counts.described == 3
    clips = {path: store.get(f"out/{path}") for path in runs.clips()}
    assert clips == runs.clips()
    kept = [key for key in store.keys("out/") if not key.startswith(("out/audio/", "out/report/", "out/runs/"))]
    assert kept == ["out/manifest/part-000000.parquet"]
    assert "out/report/index.html" in store.keys("out/report/")
    assert len(store.keys("out/runs/")) == 1
