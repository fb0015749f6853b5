"""What is not let through: words however they are dressed up, patterns, and texts that grow."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdaemon.filters import MASK, Filter, Rule, too_slow

WORDS = ("plumtree", "bad guy", "zilch", "1488", "ab")
MASKED = Filter([Rule(words=WORDS, action="mask")])
BLOCKED = Filter([Rule(words=WORDS, stand_in="no")])


@pytest.mark.parametrize(
    "text",
    [
        *("zilch", "ZILCH!", "(zilch)", "say zilch, please", "z\u200bil\u00adch", "zi\u0301lch"),
        *("\uff5a\uff49\uff4c\uff43\uff48", "z1lch", "2!lch", "zi|ch", "z i l c h", "z.i.l.c.h"),
        *("Z - 1 - l - c - h", "oh z i l c h oh", "z\u200b \u200bi l c h", "z_i_l_c_h"),
        *("plumtr33", "p1umtr3e", "bad   guy", "BAD\nguy", "b4d guy", "b a d g u y", "1488", "ab"),
    ],
)
def test_a_word_is_found_however_it_is_dressed_up(text: str) -> None:
    assert BLOCKED(text).blocked
    assert BLOCKED(text).text == "no"
    assert MASK in MASKED(text).text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "zilches",
            "unzilch",
            "plumtrees",
            "badguy",
            "the bad guys",
            "14880",
            "a b",
            "4b",
            "z ilch",
        ),
        *("he said: 21|(4)", "", " ", "zi1", "\u0928zilch\u0940", "plum tree"),
    ],
)
def test_what_only_looks_like_a_word_is_let_through(text: str) -> None:
    assert BLOCKED(text) == MASKED(text)
    assert BLOCKED(text).text == text
    assert BLOCKED(text).found == ()


def test_only_what_was_found_is_masked_and_nothing_else_moves() -> None:
    masked = MASKED("well, z i l c h\nand zilch.")

    dots = " ".join(MASK * 5)
    assert masked.text == f"well, {dots}\nand {MASK * 5}."
    assert masked.found == ("z i l c h", "zilch")
    assert not masked.blocked


def test_the_first_rule_that_blocks_has_the_last_word() -> None:
    both = Filter(
        [
            Rule(words=("zilch",), action="mask"),
            Rule(patterns=(r"\d{3}-\d{4}",), action="block", stand_in="no numbers"),
        ]
    )

    assert both("zilch").text == MASK * 5
    assert both("zilch 555-1234").text == "no numbers"
    assert both("zilch 555-1234").found == ("zilch", "555-1234")


def test_what_stands_beside_a_mask_is_looked_at_again() -> None:
    both = Filter([Rule(words=("zilch",), patterns=("xx",), action="mask")])

    assert both("XXzilch").text == MASK * 7


def test_a_pattern_that_takes_too_long_holds_the_text_back() -> None:
    slow = Filter([Rule(patterns=(r"(?:x|xx)+y",), action="mask", stand_in="no")])

    assert slow("an x").text == "an x"
    held = slow("x" * 2000)
    assert held.blocked
    assert (held.text, held.found) == ("no", (r"(?:x|xx)+y (takes too long)",))


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(\w+\s?)+$", r"(?:x|xx)+y", r"k(?:x|xx)+y"])
def test_a_pattern_that_can_take_for_ever_is_told_from_others(pattern: str) -> None:
    assert too_slow(pattern)


@pytest.mark.parametrize(
    "pattern", [r"\bfoo\d+\b", r"https?://\S+", r".*foo.*", r"\b\d{3}[-. ]?\d{4}\b", r"^\s+x"]
)
def test_an_ordinary_pattern_is_not_too_slow(pattern: str) -> None:
    assert not too_slow(pattern)


def test_a_text_that_is_made_to_be_hard_for_words_is_looked_through_all_the_same() -> None:
    hard = Filter([Rule(words=("illillillillillillillill", "lilililililililililili"))])

    assert not hard("|" * 3000 + "x").blocked
    assert not hard("| " * 3000 + "x").blocked


# --- growing texts --------------------------------------------------------------------------

LEET = {"i": "i1!", "l": "l1|", "z": "z2", "e": "e3", "t": "t7", "b": "b8"}
GAPS = st.sampled_from(["", "\u200b", "\u00ad", "\u0301"])


@st.composite
def dressed(draw: st.DrawFn) -> str:
    """One of the words, as people dress them up."""
    word = draw(st.sampled_from(["plumtree", "zilch", "bad guy"]))
    spelled = draw(st.sampled_from(["", " ", ".", " - ", "_"]))
    letters = [
        draw(st.sampled_from(LEET.get(c, c) if n < len(word) - 1 else c)) + draw(GAPS)
        for n, c in enumerate(word)
        if not (spelled and c == " ")
    ]
    text = spelled.join(letters)
    return text.upper() if draw(st.booleans()) else text


CHATTER = st.text("ab1|!zilch .,\n\u200b\u00e9\u0928\u0940", max_size=20)
TALK = st.lists(st.one_of(CHATTER, dressed()), max_size=6).map(" ".join)


@settings(deadline=None)
@given(dressed(), CHATTER, CHATTER)
def test_no_dress_lets_a_word_through(word: str, before: str, after: str) -> None:
    assert BLOCKED(f"{before} {word} {after}").blocked
    masked = MASKED(f"{before} {word} {after}").text
    assert not BLOCKED(masked).blocked


@settings(deadline=None)
@given(TALK, st.data())
def test_what_is_shown_of_a_growing_text_is_how_the_whole_of_it_begins(
    text: str, data: st.DataObject
) -> None:
    whole = MASKED(text).text
    shown = ""
    for end in sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8))):
        begun = MASKED.begun(text[:end])
        assert whole.startswith(begun)
        assert begun.startswith(shown)
        assert not MASKED(begun).found or begun == whole[: len(begun)]
        shown = begun
    assert len(whole) == len(text)


@given(st.text(max_size=60))
def test_nothing_of_a_text_that_may_be_held_back_is_shown_while_it_grows(text: str) -> None:
    assert BLOCKED.begun(text) == ""
    assert Filter([Rule(patterns=("x",), action="mask")]).begun(text) == ""
    assert Filter().begun(text) == text


@settings(deadline=None)
@given(st.text(max_size=80))
def test_whatever_is_said_a_mask_leaves_its_length_and_what_is_invisible(text: str) -> None:
    masked = MASKED(text).text
    assert len(masked) == len(text)
    assert all(a == b or b == MASK for a, b in zip(text, masked, strict=True))
    assert unicodedata.normalize("NFC", masked) is not None
