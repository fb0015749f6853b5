"""Short posts: where an answer is cut, and how it becomes several messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdaemon.posts import BETWEEN, LONGEST, Several, begun, cut, first, pauses, several


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("First clause, second clause that is long", 20, "First clause"),
        ("It is done. Is it? Yes, it is", 18, "It is done. Is it?"),
        ("It costs 3.14 or so in all of them", 20, "It costs 3.14 or so"),
        ("no marks at all here", 12, "no marks at"),
        ("Donaudampfschiff", 5, "Donau"),
        ("今日は。いい天気です。散歩", 8, "今日は。"),
        ("short", 5, "short"),
        ("whatever it is", 0, "whatever it is"),
        ("\U0001f469\u200d\U0001f680\U0001f469\u200d\U0001f680", 4, "\U0001f469\u200d\U0001f680"),
        ("one line\nand another one", 12, "one line"),
    ],
)
def test_a_text_is_cut_at_the_last_clause_that_fits(text: str, most: int, kept: str) -> None:
    assert cut(text, most) == kept


def test_every_paragraph_is_a_message_but_code_is_never_torn() -> None:
    text = "Hi.\n\nLook:\n```\na\n\nb\n```\n\n\nThat is all."

    assert several(text, 0, Several(most=5)) == ("Hi.", "Look:\n```\na\n\nb\n```", "That is all.")
    assert several(text, 0, Several(most=2))[1].endswith("```\n\nThat is all.")
    assert several(text, 0, Several()) == (text,)


def test_a_separator_makes_messages_and_is_never_seen() -> None:
    how = Several(most=3, separator="|||")

    assert several("one|||two ||| \n|||three", 0, how) == ("one", "two", "three")
    assert several("||| |||", 0, how) == ()
    assert [first("one||"[:n], how) for n in range(6)] == ["", "o", "on", "one", "one", "one"]


def test_the_messages_of_an_answer_share_its_characters() -> None:
    text = "One, two.\n\nThree, four.\n\nFive."

    assert several(text, 20, Several(most=3)) == ("One, two.", "Three")
    assert several(text, 12, Several(most=3)) == ("One, two.",)


def test_pauses_grow_with_the_messages_and_never_take_for_ever() -> None:
    how = Several(most=8, characters_per_second=10, longest_pause=3)

    assert pauses(("x" * 50, "x" * 10, "x" * 100), how) == [0, 1, 4]
    assert pauses((), how) == []
    assert pauses(("x" * 1000,) * 30, how)[-1] == pytest.approx(LONGEST)


WORDS = st.text("ab ,.\n!?;|`。\u0301\u200d\U0001f469", max_size=60)
HOWS = st.builds(Several, most=st.integers(1, 4), separator=st.sampled_from(["", "|", "||", "--"]))


@given(WORDS, st.integers(1, 40), HOWS)
def test_an_answer_never_exceeds_its_limit(text: str, most: int, how: Several) -> None:
    messages = several(text, most, how)

    assert len(BETWEEN.join(messages)) <= most
    assert len(messages) <= how.most
    assert all(message.strip() for message in messages)
    assert len(cut(text, most)) <= most


@given(WORDS, st.integers(0, 40), HOWS, st.data())
def test_what_is_shown_of_a_growing_answer_is_how_its_first_message_begins(
    text: str, most: int, how: Several, data: st.DataObject
) -> None:
    whole = several(text, most, how)
    end = data.draw(st.integers(0, len(text)))
    shown = begun(first(text[:end], how), most)

    assert (whole[0] if whole else "").strip().startswith(shown.strip())
