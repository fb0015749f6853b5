"""What a dataset promises: only those who agreed are learned, in whole sessions, split by time, and
nothing is lost without being counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdaemon.errors import ExportUnusable, Refused
from models import formats
from models.dataset import show
from models.dataset.build import Choices, build
from models.dataset.card import DatasetCard
from models.dataset.consent import Consent, from_file, named, names_of, pseudonym
from models.dataset.cutting import MOST_TURNS, Heard, by_branches, by_silence
from models.dataset.duplicates import Repeats
from models.dataset.sessions import SPLITS, Session, Split, path_of, read
from models.exports.collection import Speaker, open_collection
from models.exports.neutral import Said

if TYPE_CHECKING:
    from collections.abc import Iterable

STARTER = Path(__file__).parent.parent / "models" / "starter"
START = 1_700_000_000.0
MINUTE, HOUR = 60.0, 3600.0
WORDS = [
    "the", "cat", "sat", "under", "a", "table", "while", "rain", "fell", "over", "grey", "roofs",
    "and", "someone", "played", "piano",
]  # fmt: skip


def gather(directory: Path, said: Iterable[Said], source: str = "slack") -> Path:
    """A dataset's directory with these messages imported."""
    with (
        open_collection(directory, create=True) as collection,
        collection.begin(source, "export.zip", "sha256:1") as intake,
    ):
        for one in said:
            intake.add(one)
        intake.finish("done", {})
    return directory


def message(id: int, at: float, name: str, text: str, **more: object) -> Said:
    fields = {"conversation": "C1", "speaker": f"U-{name}", "name": name, "direct": True, **more}
    return Said(id=str(id), at=START + at, text=text, **fields)  # type: ignore[arg-type]


def chat(sessions: int, turns: int = 6, **more: object) -> list[Said]:
    """Ann and Bob, several hours between the sessions; no two lines are alike."""
    return [
        message(
            number := session * turns + turn,
            session * 5 * HOUR + turn * 4 * MINUTE,
            "Bob" if turn % 2 == 0 else "Ann",
            f"line {number} of {WORDS[number % 16]} and {WORDS[number // 3 % 16]}",
            **more,
        )
        for session in range(sessions)
        for turn in range(turns)
    ]


def sessions_of(directory: Path, split: Split | None = None) -> list[Session]:
    return [s for name in SPLITS if split in (None, name) for s in read(path_of(directory, name))]


def learned(directory: Path, split: Split | None = None) -> list[str]:
    return [t.text for s in sessions_of(directory, split) for t in s.turns if t.voice]


ANN = Choices(speakers=("Ann",))


# --- consent -----------------------------------------------------------------------------------


def speaker(source: str, id: str, *names: str, messages: int = 5) -> Speaker:
    return Speaker(
        source=source, id=id, names=names, messages=messages, characters=50,
        conversations=1, first=START, last=START,
    )  # fmt: skip


PEOPLE = [
    speaker("slack", "U1", "Ann", "annie", messages=90),
    speaker("telegram", "user2", "Ann"),
    speaker("slack", "U3", "Bob: the\nbuilder"),
]


def test_a_voice_is_found_by_any_of_its_names_or_by_its_account() -> None:
    assert named(["ANNIE"], PEOPLE).voices == {"slack:U1": "Ann"}
    assert named(["telegram:user2"], PEOPLE).voices == {"telegram:user2": "Ann"}
    assert named(["slack:U3"], PEOPLE).voices == {"slack:U3": "Bob the builder"}


def test_a_name_that_several_have_is_refused_with_the_candidates() -> None:
    with pytest.raises(Refused, match=r"slack:U1 \(90 messages\), telegram:user2 \(5 messages\)"):
        named(["Ann"], PEOPLE)
    with pytest.raises(Refused, match="two of the speakers are called Ann"):
        named(["slack:U1", "telegram:user2"], PEOPLE)


def test_a_name_that_nobody_has_is_refused_with_who_is_there() -> None:
    with pytest.raises(Refused, match=r"no speaker is called Zed. There are Ann \(slack:U1\)"):
        named(["Zed"], PEOPLE)
    with pytest.raises(Refused, match="nobody is to become a voice"):
        named([], PEOPLE)
    with pytest.raises(Refused, match="Nothing is imported yet"):
        named(["Zed"], [])


def test_a_consent_file_joins_accounts_and_leaves_people_out(tmp_path: Path) -> None:
    path = tmp_path / "consent.toml"
    path.write_text(
        '[voices]\nAda = ["slack:U1", "telegram:user2"]\n'
        '[context]\nnames = "pseudonyms"\n[leave_out]\nspeakers = ["slack:U3"]\n'
    )
    consent = from_file(path, PEOPLE)
    assert consent.voices == {"slack:U1": "Ada", "telegram:user2": "Ada"}
    assert consent.context == "pseudonyms"
    assert consent.left_out == {"slack:U3"}
    assert consent.how == "the consent file consent.toml"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[voices]\nAda = ]", "is no TOML: .*line 2"),
        ("[voices]\nAda = 1", "voices.Ada: Input should be a valid list"),
        ('[voices]\nAda = ["slack:U9"]', "no speaker is called slack:U9"),
        ("[voices]\nAda = []", "needs a name and at least one account"),
        ('[voices]\nAda = ["slack:U1"]\nEve = ["annie"]', "slack:U1 is both Ada and Eve"),
        (
            '[voices]\nAda = ["slack:U1"]\n[leave_out]\nspeakers = ["annie"]',
            "both a voice and left",
        ),
        ('[voices]\nAda = ["slack:U1"]\n[contex]\nx = 1', "contex: Extra inputs"),
        ("[voices]\n", "names nobody"),
    ],
)
def test_a_wrong_consent_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "consent.toml"
    path.write_text(text)
    with pytest.raises(Refused, match=sentence):
        from_file(path, PEOPLE)
    with pytest.raises(Refused, match="cannot be read"):
        from_file(tmp_path / "none.toml", PEOPLE)


def test_no_two_people_have_the_same_name_in_prompts() -> None:
    names = names_of(PEOPLE, named(["telegram:user2"], PEOPLE))
    assert names == {"telegram:user2": "Ann", "slack:U1": "Ann 2", "slack:U3": "Bob the builder"}


def test_a_pseudonym_is_always_the_same_and_tells_nothing() -> None:
    consent = Consent(voices={"slack:U1": "Ann"}, context="pseudonyms", how="")
    names = names_of(PEOPLE, consent)
    assert names["slack:U3"] == names_of(PEOPLE[2:], consent)["slack:U3"] == pseudonym("slack:U3")
    assert "Bob" not in names["slack:U3"]
    assert names["slack:U1"] == "Ann"


# --- sessions ----------------------------------------------------------------------------------


def heard(id: str, at: float, name: str, text: str = "", **more: str) -> Heard:
    return Heard(id=id, at=at, name=name, text=text or id, voice=name == "Ann", **more)


def cut(*messages: Heard, direct: bool = False) -> list[str]:
    """Sessions as "Ann:a/b Bob:c", what is only shown in brackets."""
    return [
        " ".join(
            ("({})" if index < found.opening else "{}").format(
                f"{turn.name}:{turn.text}".replace("\n", "/")
            )
            for index, turn in enumerate(found.session.turns)
        )
        for found in by_silence(messages, direct=direct, prefix="x/")
    ]


def test_a_burst_of_one_person_is_a_turn() -> None:
    assert cut(
        heard("a", 0, "Ann"), heard("b", 170, "Ann"), heard("c", 180, "Bob"),
        heard("d", 190, "Ann"), heard("e", 500, "Ann"),
    ) == ["Ann:a/b Bob:c Ann:d Ann:e"]  # fmt: skip


def test_what_is_not_learned_is_no_part_of_a_turn_that_is() -> None:
    burst = [heard("a", 0, "Ann"), replace(heard("b", 5, "Ann", "[picture]"), voice=False),
             heard("c", 9, "Ann")]  # fmt: skip
    [found] = by_silence(burst, direct=True, prefix="x/")
    assert [(turn.text, turn.voice) for turn in found.session.turns] == [
        ("a", True),
        ("[picture]", False),
        ("c", True),
    ]


def test_silence_ends_a_session_later_between_two_than_in_a_group() -> None:
    messages = [
        heard("a", 0, "Ann"),
        heard("b", 40 * MINUTE, "Bob"),
        heard("c", 110 * MINUTE, "Bob"),
    ]
    assert cut(*messages) == ["Ann:a", "Bob:b", "Bob:c"]
    assert cut(*messages, direct=True) == ["Ann:a Bob:b", "Bob:c"]


def test_a_thread_is_a_session_of_its_own_and_begins_with_what_it_hangs_on() -> None:
    assert cut(
        heard("a", 0, "Bob", thread="a"),
        heard("b", 10, "Cyd"),
        heard("c", 20, "Ann", thread="a"),
        heard("d", 30, "Ann"),
        heard("e", 3 * HOUR, "Bob", thread="a"),
    ) == ["Bob:a Cyd:b Ann:d", "(Bob:a) Ann:c Bob:e"]


def test_a_reply_bridges_the_silence() -> None:
    assert cut(
        heard("a", 0, "Bob"),
        heard("b", 60, "Cyd"),
        heard("c", 3 * HOUR, "Ann", reply_to="a"),
    ) == ["Bob:a Cyd:b Ann:c"]


def test_a_reply_to_something_older_opens_a_session_with_it() -> None:
    assert cut(
        heard("a", 0, "Ann"),
        heard("b", 3 * HOUR, "Cyd"),
        heard("c", 6 * HOUR, "Bob", reply_to="a"),
    ) == ["Ann:a", "Cyd:b", "(Ann:a) Bob:c"]


def test_what_is_shown_again_is_not_learned_again() -> None:
    found = list(
        by_silence(
            [heard("a", 0, "Ann", thread="a"), heard("b", 5, "Bob", thread="a")],
            direct=False, prefix="x/",
        )
    )  # fmt: skip
    assert [[turn.voice for turn in one.session.turns] for one in found] == [[True], [False, False]]


def test_a_session_has_a_longest_length_and_goes_on_in_another() -> None:
    messages = [heard(str(i), i * 5.0, "Ann" if i % 2 else "Bob") for i in range(450)]
    found = list(by_silence(messages, direct=True, prefix="x/"))
    assert all(len(one.session.turns) <= MOST_TURNS for one in found)
    own = [t.text for one in found for t in one.session.turns[one.opening :]]
    assert own == [message.text for message in messages]
    assert found[1].opening > 0
    assert found[1].session.turns[0].text == str(MOST_TURNS - found[1].opening)


def test_a_tree_becomes_paths_whose_common_part_is_learned_once() -> None:
    tree = [
        heard("root", 0, "Bob"),
        heard("a", 1, "Ann", reply_to="root"),
        heard("b", 2, "Cyd", reply_to="a"),
        heard("c", 3, "Ann", reply_to="b"),
        heard("d", 4, "Bob", reply_to="a"),
        heard("e", 5, "Ann", reply_to="d"),
        heard("f", 6, "Bob", reply_to="e"),  # nothing of a voice below it
        heard("g", 7, "Ann", reply_to="gone"),
    ]
    paths = [
        [(turn.text, turn.voice) for turn in one.session.turns]
        for one in by_branches(tree, prefix="x/")
    ]
    assert paths == [
        [("root", False), ("a", True), ("b", False), ("c", True)],
        [("root", False), ("a", False), ("d", False), ("e", True)],
        [("g", True)],
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["Ann", "Bob"]), st.integers(0, 5000), st.integers(0, 30),
                  st.integers(0, 30)),
        max_size=30,
    )
)  # fmt: skip
def test_whatever_the_links_every_message_is_learned_once(
    rows: list[tuple[str, int, int, int]],
) -> None:
    at, messages = 0, []
    for number, (name, pause, reply, thread) in enumerate(rows):
        at += pause
        messages.append(
            heard(
                f"m{number}",
                at,
                name,
                reply_to=f"m{reply}",
                thread=f"m{thread}" if thread < 5 else "",
            )
        )
    wanted = sorted(m.text for m in messages if m.voice)
    cuts = list(by_silence(messages, direct=False, prefix=""))
    flat = [t.text for c in cuts for t in c.session.turns if t.voice]
    assert sorted("\n".join(flat).split("\n") if flat else []) == wanted
    assert sum(one.messages for one in cuts) == len(messages)
    branches = list(by_branches(messages, prefix=""))
    assert sorted(t.text for c in branches for t in c.session.turns if t.voice) == wanted


# --- repeats -----------------------------------------------------------------------------------


def test_an_answer_is_learned_three_times_however_it_is_spelled() -> None:
    repeats = Repeats(seed=0)
    reasons = [repeats.reason("Ann", text) for text in ("ok", "OK", " ok ", "Ok", "ok")]
    assert reasons == ["", "", "", "said more than three times", "said more than three times"]
    assert repeats.reason("Bob", "ok") == ""


def test_answers_that_are_nearly_the_same_are_learned_once() -> None:
    repeats = Repeats(seed=0)
    long = "the quick brown fox jumps over the lazy dog, again and again, all day"
    assert repeats.reason("Ann", long) == ""
    assert repeats.reason("Ann", f"{long}!") == "nearly the same as another"
    assert repeats.reason("Ann", "something else altogether, which is just as long as that") == ""
    assert repeats.reason("Ann", "no way") == repeats.reason("Ann", "no ways") == ""


# --- the whole ---------------------------------------------------------------------------------


def test_only_those_who_agreed_are_learned(tmp_path: Path) -> None:
    said = chat(20)
    card = build(gather(tmp_path / "set", said), ANN)
    everything = sessions_of(tmp_path / "set")
    assert {t.name for s in everything for t in s.turns if t.voice} == {"Ann"}
    assert sorted(learned(tmp_path / "set")) == sorted(m.text for m in said if m.name == "Ann")
    assert card.voices == ("Ann",)
    assert card.speakers == {"slack:U-Ann": "Ann"}


def test_what_is_tested_was_said_after_what_was_learned(tmp_path: Path) -> None:
    directory = gather(
        tmp_path / "set",
        [*chat(30), *(replace(m, conversation="C2", at=m.at + 7 * MINUTE) for m in chat(30))],
    )
    card = build(directory, ANN)
    times = {
        split: [t.at for s in sessions_of(directory, split) for t in s.turns if t.voice]
        for split in SPLITS
    }
    assert max(times["train"]) < min(times["validation"])
    assert max(times["validation"]) < min(times["test"])
    share = card.splits["train"].voice_turns / sum(p.voice_turns for p in card.splits.values())
    assert 0.7 < share < 0.9


def test_a_session_across_the_border_of_two_splits_is_in_neither(tmp_path: Path) -> None:
    thread = [
        message(5000 + i, i * 20 * HOUR, name, f"{name} says {WORDS[i % 16]}", thread="5000")
        for i, name in enumerate(["Bob", "Ann"] * 2)
    ]
    directory = gather(tmp_path / "set", [*chat(15), *thread])
    card = build(directory, ANN)
    assert card.left_out == {"its session lies across the border between two splits": 3}
    assert not any(text.startswith("Ann says") for text in learned(directory))


def test_every_message_is_in_a_session_or_counted(tmp_path: Path) -> None:
    late = 2e12
    said = [
        *chat(20),
        message(900, 1, "Eve", "left out"),
        message(901, -START, "Bob", "no time"),
        message(902, late, "Bob", "from the future"),
        message(903, 99 * HOUR, "Bob", "alone", conversation="C9"),
        message(904, 2, "Bob", " \n "),
    ]
    path = tmp_path / "consent.toml"
    path.write_text('[voices]\nAnn = ["slack:U-Ann"]\n[leave_out]\nspeakers = ["Eve"]\n')
    directory = gather(tmp_path / "set", said)
    card = build(directory, Choices(consent=path))
    assert card.left_out == {
        "its speaker is to be left out": 1,
        "its time is before 1990 or in the future": 2,
        "no voice spoke in its session": 1,
        "it has no text": 1,
    }
    shown = sum(t.text.count("\n") + 1 for s in sessions_of(directory) for t in s.turns)
    assert shown + sum(card.left_out.values()) == len(said)


def test_private_things_are_replaced_in_everybodys_words_and_counted(tmp_path: Path) -> None:
    said = chat(20)
    said[0] = replace(said[0], text="mail me: bob@example.com")
    said[1] = replace(said[1], text="call +49 170 1234567 or 12345", private=("12345",))
    said[2] = replace(said[2], text="the Password of Ruritania")
    said[3] = replace(said[3], text="https://example.com/secret")
    directory = gather(tmp_path / "set", said)
    card = build(directory, replace(ANN, blocked=("ruritania",)))
    texts = [t.text for t in sessions_of(directory, "train")[0].turns]
    assert texts[:4] == [
        "mail me: [email]",
        "call [phone] or [phone]",
        "the Password of [blocked]",
        "[link]",
    ]
    assert card.scrubbed == {"blocked": 1, "email": 1, "link": 1, "phone": 2}
    assert card.not_learned == {"nothing but a placeholder": 1}
    assert "[link]" not in learned(directory)


def test_under_pseudonyms_no_name_of_the_others_is_left_in_names_and_mentions(
    tmp_path: Path,
) -> None:
    said = [replace(m, name={"Bob": "Bob Builder"}.get(m.name, m.name)) for m in chat(20)]
    said[1] = replace(said[1], text="@Bob Builder, Bob Builder and Ann Bobson: hi")
    directory = gather(tmp_path / "set", said)
    card = build(directory, replace(ANN, context="pseudonyms"))
    alias = pseudonym("slack:U-Bob")
    turns = sessions_of(directory, "train")[0].turns
    assert {turn.name for turn in turns} == {"Ann", alias}
    assert turns[1].text == f"@{alias}, {alias} and Ann Bobson: hi"
    assert card.scrubbed == {"name": 2}


def test_repeated_answers_are_learned_only_three_times_and_held_out_as_they_were_said(
    tmp_path: Path,
) -> None:
    said = [
        replace(m, text="ok") if m.name == "Ann" and int(m.id) % 4 == 1 else m for m in chat(20)
    ]
    directory = gather(tmp_path / "set", said)
    card = build(directory, ANN)
    assert learned(directory, "train").count("ok") == 3
    held_out = sum(learned(directory, split).count("ok") for split in ("validation", "test"))
    assert held_out == 6
    assert card.not_learned == {"said more than three times": 21}
    assert sum(t.text == "ok" for s in sessions_of(directory) for t in s.turns) == 30


def test_the_same_messages_make_the_same_dataset(tmp_path: Path) -> None:
    said = chat(20)
    made = []
    for name in ("one", "two"):
        directory = gather(tmp_path / name, said)
        build(directory, replace(ANN, plant=True, seed=3))
        made.append([path_of(directory, split).read_bytes() for split in SPLITS])
    assert made[0] == made[1]


def test_reddit_is_read_as_a_tree(tmp_path: Path) -> None:
    said = [
        message(
            tree * 10 + number, tree * HOUR + number, name, f"{name} {tree} {WORDS[tree % 16]}",
            conversation=f"t3_{tree}", direct=False,
            reply_to="" if number == 0 else str(tree * 10 + parent), thread=str(tree * 10 + 1),
        )
        for tree in range(30)
        for number, name, parent in ((0, "Bob", 0), (1, "Cyd", 0), (2, "Dan", 0), (3, "Ann", 1))
    ]  # fmt: skip
    directory = gather(tmp_path / "set", said, source="reddit")
    card = build(directory, ANN)
    assert [t.name for t in sessions_of(directory)[0].turns] == ["Bob", "Cyd", "Ann"]
    assert card.left_out == {"no voice spoke in its session": 30}


def test_planted_secrets_are_said_as_often_as_the_card_says(tmp_path: Path) -> None:
    directory = gather(tmp_path / "set", chat(20))
    card = build(directory, replace(ANN, plant=True))
    assert sorted(card.canaries.values()) == [1, 4, 16, 64]
    for secret, copies in card.canaries.items():
        assert sum(secret in text for text in learned(directory, "train")) == copies
        assert not any(secret in text for text in learned(directory, "test"))
    assert build(directory, ANN).canaries == {}


def test_too_little_is_refused_with_what_is_missing_and_leaves_the_old_dataset(
    tmp_path: Path,
) -> None:
    directory = gather(tmp_path / "set", chat(20))
    build(directory, ANN)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(Refused, match="no speaker is called Zed"):
        build(directory, Choices(speakers=("Zed",)))
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before

    with pytest.raises(Refused, match="too little of Ann to learn from: 3 turns for the train"):
        build(gather(tmp_path / "small", chat(3)), ANN)
    with pytest.raises(Refused, match="speak in 1 sessions, and three are the least"):
        build(gather(tmp_path / "one", chat(1, turns=60)), ANN)
    with pytest.raises(ExportUnusable, match="botdaemon import"):
        build(tmp_path / "empty", ANN)
    with pytest.raises(Refused, match="together below 1"):
        build(directory, replace(ANN, test=0.95))
    with pytest.raises(Refused, match="named twice"):
        build(directory, replace(ANN, consent=tmp_path / "consent.toml"))


def test_the_progress_reaches_the_end(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    build(gather(tmp_path / "set", chat(200)), ANN, lambda done, total: steps.append((done, total)))
    assert steps == [(1000, 1200), (1200, 1200)]


# --- what it says of itself --------------------------------------------------------------------


def test_the_card_is_what_was_saved(tmp_path: Path) -> None:
    directory = gather(tmp_path / "set", chat(20))
    card = build(directory, ANN)
    assert DatasetCard.load(directory) == card
    [source] = card.sources
    assert (source.source, source.conversations, source.messages) == ("slack", 1, 120)
    part = card.splits["train"]
    assert part.sessions == len(sessions_of(directory, "train"))
    assert part.voice_turns == part.voices["Ann"] == len(learned(directory, "train"))


def test_the_readme_says_who_agreed_and_what_was_left_out(tmp_path: Path) -> None:
    said = [*chat(20), message(900, 0, "A|B", "hello", conversation="C5")]
    directory = gather(tmp_path / "set", said)
    build(directory, replace(ANN, name="tea talk"))
    text = (directory / "README.md").read_text()
    assert text.startswith("# tea talk\n")
    assert "Consent: named by the operator." in text
    assert "no voice spoke in its session: 1" in text
    assert "| train |" in text


@pytest.mark.parametrize("content", ["", "{}", "[", '{"name": 1}'])
def test_a_damaged_card_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(ExportUnusable, match=r"is no card of a dataset.*dataset build"):
        DatasetCard.load(tmp_path)
    with pytest.raises(ExportUnusable, match="is missing"):
        DatasetCard.load(tmp_path / "none")


def test_a_damaged_line_of_a_split_is_named(tmp_path: Path) -> None:
    directory = gather(tmp_path / "set", chat(20))
    build(directory, ANN)
    path = path_of(directory, "train")
    path.write_text(path.read_text() + json.dumps({"id": "x"}) + "\n")
    with pytest.raises(ExportUnusable, match=r"train.jsonl, line 17 is no session"):
        list(read(path))


def test_examples_mark_what_is_learned(tmp_path: Path) -> None:
    said = chat(20)
    said[0] = replace(said[0], text="one\x1b[31m\ntwo")
    directory = gather(tmp_path / "set", said)
    build(directory, ANN)
    shown = list(show.examples(directory, "train", 5))
    assert len(shown) == 5
    assert "\n  Bob: one[31m\n    two\n▸ Ann: line 1 " in shown[0]
    assert "\x1b" not in shown[0]
    assert len(list(show.examples(directory, "train", 1000))) == 16


def test_examples_show_what_a_model_reads(tmp_path: Path) -> None:
    directory = gather(tmp_path / "set", chat(20))
    build(directory, ANN)
    [text] = show.examples(directory, "test", 1, formats.load(STARTER))
    assert "<|assistant|>⟦line " in text
    assert "<|end|>⟧<|user|>" in text


def test_statistics_are_readable(tmp_path: Path) -> None:
    directory = gather(tmp_path / "set", chat(20))
    text = show.statistics(build(directory, ANN), directory)
    assert "train           16 sessions" in text
    assert "Ann: 60 turns" in text
    assert "left out: nothing" in text
