"""Two captioners at once: the surer one's words are published, both are kept, disagreement is a doubt."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from captioner.errors import ModelError
from captioner.records import Alternative, Caption, Features, Photo
from captioner.together import Together, agreement_of, describe_together
from captioner.weights import Description

NOTHING = np.empty(0, dtype=np.float16)


class Speaker:
    """A captioner that says one thing of every photo."""

    language, licence, input_size_px = "en", "MIT", 64

    def __init__(self, name: str, text: str, confidence: float | None) -> None:
        self.name = self.digest = self.weights_digest = self.encoder_digest = name
        self.said = Caption(text, -1.0, name, (Alternative(f"perhaps {text}", -2.0),), confidence=confidence)

    def encode(self, photos: Sequence[Photo]) -> list[Features]:
        return [Features(one.sha256, NOTHING, NOTHING, self.name, {}) for one in photos]

    def decode(self, features: Sequence[Features]) -> list[Caption]:
        assert all(one.encoder_digest == self.name for one in features)
        return [self.said for _ in features]


def described(name: str, language: str = "en") -> Description:
    return Description(name, Path(name), name, "MIT", language, name, Path("none.json"))


def heard(*pair: Speaker) -> Caption:
    """Return what two say of one photo together."""
    both = Together(*pair, describe_together(*(described(one.name) for one in pair)))
    photo = Photo("0" * 64, np.zeros((4, 4, 3), dtype=np.uint8), 4, 4, "png")
    return both.decode(both.encode([photo]))[0]


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [(0.4, 0.8, "second"), (0.8, 0.4, "first"), (None, 0.3, "second"), (0.3, None, "first")],
)
def test_the_surer_one_is_published_and_both_are_kept(first: float | None, second: float | None, published: str):
    speakers = {"first": Speaker("one", "a dog runs", first), "second": Speaker("two", "a dog in a field", second)}

    caption = heard(*speakers.values())

    surer = speakers.pop(published).said
    (other,) = speakers.values()
    assert (caption.text, caption.confidence) == (surer.text, surer.confidence)
    assert [one.text for one in caption.alternatives] == [other.said.text, f"perhaps {surer.text}"]


def test_where_nobody_knows_who_is_surer_the_first_one_is_published():
    assert heard(Speaker("one", "a dog", None), Speaker("two", "a cat", None)).text == "a dog"


def test_disagreement_is_a_doubt():
    assert heard(Speaker("one", "a dog runs", None), Speaker("two", "two boats", None)).doubts == (
        "captioners-disagree",
    )
    assert heard(Speaker("one", "a dog runs", None), Speaker("two", "the dog sits", None)).doubts == ()


def test_what_either_doubts_about_the_picture_stands():
    one, two = Speaker("one", "a dog", 0.9), Speaker("two", "a cat", 0.1)
    one.said = replace(one.said, doubts=("contains-text",))
    two.said = replace(two.said, doubts=("no-reliable-description",))

    assert heard(one, two).doubts == ("contains-text", "no-reliable-description", "captioners-disagree")


def test_agreement_is_of_the_words_that_tell_something():
    assert agreement_of("a dog on the grass", "the dog in a house") == 0.5
    assert agreement_of("a dog", "the dog") == 1


def test_features_of_one_alone_are_refused():
    one = Speaker("one", "a dog", None)
    both = Together(one, one, describe_together(described("one"), described("two")))

    with pytest.raises(ModelError, match="encode the photo with both"):
        both.decode([Features("0" * 64, NOTHING, NOTHING, "one", {})])


def test_the_same_captioner_twice_is_refused():
    with pytest.raises(ModelError, match="both captioners are the same one; name another one with --also"):
        describe_together(described("one"), described("one"))


def test_two_languages_are_refused():
    with pytest.raises(ModelError, match=r"it writes fr, and one writes en; choose two captioners of one language"):
        describe_together(described("one"), described("two", "fr"))
