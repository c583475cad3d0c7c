# ruff: noqa: RUF001 - the sounds are letters of the IPA, and the signs are meant

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.errors import SpeechError
from speech.lexicon import Entry, Lexicon, load_lexicon

PLS = """<?xml version="1.0" encoding="UTF-8"?>
<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon" alphabet="ipa" xml:lang="en-US">
  <lexeme><grapheme>MoMA</grapheme><phoneme>ˈmoʊmə</phoneme></lexeme>
  <lexeme><grapheme>W3C</grapheme><grapheme>W3 C</grapheme><alias>World Wide Web Consortium</alias></lexeme>
  <lexeme><grapheme>Goethe</grapheme><phoneme>ˈɡøːtə</phoneme><phoneme prefer="true">ˈɡɜːtə</phoneme></lexeme>
</lexicon>
"""
TABLE = """grapheme,phoneme,alias
MoMA,ˈmoʊmə,
W3C,,World Wide Web Consortium
W3 C,,World Wide Web Consortium
Goethe,/ˈɡɜːtə/,
"""
TEXT = "Goethe at MoMA and the W3C"
SAID = "[[ˈɡɜːtə]] at [[ˈmoʊmə]] and the World Wide Web Consortium"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "text"), [("own.pls", PLS), ("own.csv", TABLE), ("own.csv", "\ufeff" + TABLE)])
def test_both_formats_say_the_same(tmp_path: Path, name: str, text: str):
    lexicon = load_lexicon(written(tmp_path, name, text))
    assert lexicon.apply(TEXT) == (SAID, [])
    assert len(lexicon) == 4


def test_words_are_found_whole_and_in_any_case_but_capitals_as_they_are():
    lexicon = Lexicon(
        {"US": Entry(alias="United States"), "Cat": Entry(alias="feline"), "cat flap": Entry(alias="door")}
    )
    assert lexicon.apply("the US saw us, a cat, a CAT, Cats and a cat flap")[0] == (
        "the United States saw us, a feline, a feline, Cats and a door"
    )


def test_sounds_that_stand_in_the_text_are_left_alone():
    assert Lexicon({"a": Entry(alias="b")}).apply("a [[a]] a")[0] == "b [[a]] b"


def test_a_voice_without_phonemes_is_told_the_aliases_only(tmp_path: Path):
    lexicon = load_lexicon(written(tmp_path, "own.pls", PLS))
    assert lexicon.apply(TEXT, with_phonemes=False) == (
        "Goethe at MoMA and the World Wide Web Consortium",
        ["Goethe", "MoMA"],
    )


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.csv", "word,sound\nx,y\n", "grapheme, phoneme, alias"),
        ("a.csv", "grapheme,phoneme,alias\nMoMA,,\n", "line 2"),
        ("a.csv", "grapheme,phoneme,alias\nMoMA,a,b\n", "line 2"),
        ("a.csv", "grapheme,phoneme\nMoMA,[[a]]\n", "brackets"),
        ("a.pls", "<lexicon/>", "no PLS"),
        ("a.pls", "<lexicon", "no safe XML"),
        ("a.pls", PLS.replace("ipa", "x-sampa"), "x-sampa"),
        ("a.pls", PLS.replace("<grapheme>MoMA</grapheme>", ""), "lexeme"),
        (
            "a.pls",
            PLS.replace("<lexicon", '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><lexicon'),
            "safe XML",
        ),
    ],
)
def test_a_broken_lexicon_is_refused_with_its_place_and_the_mend(tmp_path: Path, name: str, text: str, why: str):
    with pytest.raises(SpeechError, match=why) as caught:
        load_lexicon(written(tmp_path, name, text))
    assert name in str(caught.value)
    assert caught.value.mend


def test_a_missing_lexicon_and_one_in_another_encoding_are_refused(tmp_path: Path):
    with pytest.raises(SpeechError, match="cannot be read"):
        load_lexicon(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("grapheme,alias\nCafé,x\n".encode("latin-1"))
    with pytest.raises(SpeechError, match="UTF-8"):
        load_lexicon(tmp_path / "latin.csv")


def test_the_digest_follows_the_file(tmp_path: Path):
    one = load_lexicon(written(tmp_path, "a.csv", TABLE)).digest
    assert one == load_lexicon(written(tmp_path, "b.csv", TABLE)).digest
    assert one != load_lexicon(written(tmp_path, "a.csv", TABLE + "x,,y\n")).digest


@given(
    st.dictionaries(st.text("abcXYZ ", min_size=1).map(str.strip).filter(bool), st.just(Entry(alias="q")), max_size=5)
)
def test_a_text_without_its_words_is_left_as_it_is(entries: dict[str, Entry]):
    assert Lexicon(entries).apply("1234 -- 567")[0] == "1234 -- 567"
