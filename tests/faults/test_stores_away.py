"""An S3 server that is too busy for a while, behind a proxy that says so; and what no second try can better."""

import io
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from narrating import Runs, make_photos
from proxies import Proxy, proxy_before
from s3fs import S3FileSystem
from stores import Store

from flows import storage

pytestmark = pytest.mark.faults


class Fussy:
    """Answers with an error to the paths that end so, as often as it is told to."""

    def __init__(self) -> None:
        self.errors: dict[str, tuple[int, int]] = {}

    def __call__(self, method: str, path: str, times: int) -> int | None:
        for ending, (status, often) in self.errors.items():
            if path.endswith(ending) and method in ("GET", "PUT") and times <= often:
                return status
        return None


@pytest.fixture
def fussy() -> Fussy:
    return Fussy()


@pytest.fixture
def proxy(store: Store, fussy: Fussy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Return a proxy before the store, which the environment leads to."""
    with proxy_before(store.endpoint, fussy) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        forget_connections()
        yield proxy
    forget_connections()


def forget_connections() -> None:
    """Let the next run connect anew, to the server that the environment names by then."""
    storage._file_system.cache_clear()
    S3FileSystem.clear_instance_cache()


def rows(store: Store) -> dict[str, dict[str, object]]:
    found = [pq.read_table(io.BytesIO(store.get(key))).to_pylist() for key in store.keys("out/manifest/")]
    return {row["id"]: row for part in found for row in part}


def put_photos(runs: Runs, store: Store, count: int) -> None:
    for path in make_photos(runs.photos.parent / "made", count):
        store.put(f"photos/{path.name}", path.read_bytes())


def test_a_store_that_is_busy_for_a_while_is_asked_again_and_no_photo_is_lost(
    runs: Runs, store: Store, proxy: Proxy, fussy: Fussy
):
    put_photos(runs, store, 3)
    fussy.errors = {"photos/001.png": (503, 2), "audio/000.png.mp3": (503, 2), "part-000000.parquet": (503, 1)}

    summary = runs.run(photos=f"{store.url}/photos", out=f"{store.url}/out")

    assert (summary.counts.described, summary.counts.failed) == (3, 0)
    assert proxy.times("GET", "photos/001.png") == 3
    assert sorted(rows(store)) == ["000.png", "001.png", "002.png"]
    assert store.keys("out/audio/") == [f"out/audio/00{number}.png.mp3" for number in range(3)]


def test_what_the_store_denies_is_not_asked_for_again_and_fails_alone(
    runs: Runs, store: Store, proxy: Proxy, fussy: Fussy
):
    put_photos(runs, store, 3)
    fussy.errors = {"photos/001.png": (403, 99)}

    summary = runs.run(photos=f"{store.url}/photos", out=f"{store.url}/out")

    assert (summary.counts.described, summary.counts.failed) == (2, 1)
    assert proxy.times("GET", "photos/001.png") == 1
    assert rows(store)["001.png"]["reason"] == "unreadable"


def test_a_store_that_stays_busy_ends_the_run_in_words_and_the_next_run_finishes_it(
    runs: Runs, store: Store, proxy: Proxy, fussy: Fussy
):
    put_photos(runs, store, 2)
    fussy.errors = {"part-000000.parquet": (503, 99)}
    with pytest.raises(OSError, match=r"busy|503|store"):
        runs.run(photos=f"{store.url}/photos", out=f"{store.url}/out")
    assert 1 < proxy.times("PUT", "part-000000.parquet") <= 8
    fussy.errors = {}

    assert runs.run(photos=f"{store.url}/photos", out=f"{store.url}/out").counts.found == 2
    assert sorted(rows(store)) == ["000.png", "001.png"]
