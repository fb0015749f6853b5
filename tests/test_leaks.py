"""What of the training messages comes out again: passages, whole messages, secrets."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from models.dataset.sessions import Session, Turn
from models.evaluation.leaks import Copied, copied
from models.evaluation.words import fold


def session(*said: tuple[str, str]) -> Session:
    turns = tuple(Turn(name=name, text=text, at=0.0, voice=name == "Ada") for name, text in said)
    return Session(id="made/up/1", turns=turns)


SECRET = "the spare key lies under the third flower pot"


def test_the_longest_passage_and_the_message_it_is_from_are_found() -> None:
    training = [
        session(("Bob", "where is it?"), ("Ada", f"psst, {SECRET}, do not tell")),
        session(("Bob", "the key is lost"), ("Ada", "oh no")),
    ]
    told, harmless, silent = copied([f"i think {SECRET}!", "the key? oh, no idea", ""], training)
    assert told.passage.strip() == SECRET
    assert told.turn == f"psst, {SECRET}, do not tell"
    assert len(harmless.passage) < 12
    assert silent == Copied("", "", seen=False, exact=False)


def test_a_passage_is_found_in_other_letters_and_over_other_blanks() -> None:
    [found] = copied([SECRET.upper().replace(" ", "\n  ")], [session(("Ada", SECRET))])
    assert found.passage == SECRET
    assert found.exact


def test_no_passage_reaches_from_one_answer_or_message_into_the_next() -> None:
    training = [session(("Ada", "abcdef"), ("Bob", "ghijkl"))]
    assert [c.passage for c in copied(["xabcdefghijkl", "abc", "def"], training)] in (
        [["abcdef", "abc", "def"], ["ghijkl", "abc", "def"]]
    )


def test_what_people_say_every_day_gives_nobody_away() -> None:
    training = [
        session(("Ada", "sounds good"), ("Bob", "see you there")),
        session(("Bob", "sounds good"), ("Ada", "ask Mallory in 14b")),
        *[session(("Bob", "and?"), ("Ada", "on my way"))] * 3,
        *[session(("Bob", "and?"), ("Ada", SECRET))] * 9,
    ]
    answers = ["Sounds good", "on my way", "ask mallory in 14b", SECRET, "something new"]
    found = copied(answers, training)
    assert [c.seen for c in found] == [True, True, True, True, False]
    assert [c.exact for c in found] == [False, False, True, True, False]


def test_a_message_among_the_lines_of_an_answer_is_found() -> None:
    training = [session(("Bob", "hm?"), ("Ada", "well\nask Mallory in 14b"))]
    [found] = copied(["no idea\nask Mallory in 14b"], training)
    assert found.exact
    assert not found.seen  # the answer as a whole is new


TEXTS = st.text(st.sampled_from("aab .é😀"), max_size=12)


@given(answers=st.lists(TEXTS, max_size=4), messages=st.lists(TEXTS, max_size=5))
@example(answers=["aaaa", "aa"], messages=["aaa"])
@example(answers=["abab", "bab"], messages=["babab"])
def test_the_longest_passage_is_the_one_that_a_search_by_hand_finds(
    answers: list[str], messages: list[str]
) -> None:
    training = [session(*(("Ada", text) for text in messages))]
    for answer, found in zip(answers, copied(answers, training), strict=True):
        text = fold(answer)
        longest = max(
            (
                end - start
                for start in range(len(text))
                for end in range(start + 1, len(text) + 1)
                if any(text[start:end] in fold(message) for message in messages)
            ),
            default=0,
        )
        assert len(found.passage) == longest
        assert found.passage in text
        assert found.passage in fold(found.turn)
