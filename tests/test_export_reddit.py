"""What reading a Reddit dump promises: trees of people's words, streamed, whatever the year."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from botdaemon.errors import ExportUnusable
from models.exports.neutral import Options, Said, Tally
from models.exports.reddit import read
from models.exports.reddit_text import plain

if TYPE_CHECKING:
    from pathlib import Path

JSON = dict[str, Any]
NOW = 1_580_000_000


def comment(name: str, parent: str = "t3_s", **more: Any) -> JSON:
    return {
        "id": name,
        "link_id": "t3_s",
        "parent_id": parent,
        "author": "Ann",
        "subreddit": "tea",
        "created_utc": NOW,
        "body": f"I am {name}",
        "edited": False,
        **more,
    }


def submission(name: str = "s", **more: Any) -> JSON:
    return {
        "id": name,
        "author": "Bob",
        "subreddit": "tea",
        "created_utc": NOW - 1,
        "title": "Which tea?",
        "selftext": "",
        **more,
    }


def lines(records: list[JSON]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def write(path: Path, *records: JSON) -> Path:
    data = lines(list(records))
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)
    return path


def taken(path: Path, **options: Any) -> tuple[list[Said], Tally]:
    tally = Tally()
    messages = list(read(path, tally, Options(**options)))
    tally.kept = len(messages)
    return messages, tally


def test_a_reply_is_threaded_to_its_parent(tmp_path: Path) -> None:
    records = [
        comment("a"),
        comment("b", "t1_a"),
        comment("c", "t1_b"),
        comment("d"),
        comment("e", "t1_d"),
    ]
    messages, _ = taken(write(tmp_path / "RC_2020-01.zst", submission(), *records))
    assert [(said.id, said.reply_to, said.thread) for said in messages] == [
        ("t3_s", "", ""),
        ("t1_a", "t3_s", "t1_a"),
        ("t1_b", "t1_a", "t1_a"),
        ("t1_c", "t1_b", "t1_a"),
        ("t1_d", "t3_s", "t1_d"),
        ("t1_e", "t1_d", "t1_d"),
    ]
    assert {said.conversation for said in messages} == {"t3_s"}
    assert {said.title for said in messages} == {"r/tea"}


def test_what_hangs_from_a_comment_that_was_left_out_stays_in_its_thread(tmp_path: Path) -> None:
    gone = comment("b", "t1_a", author="[deleted]", body="[removed]")
    messages, _ = taken(write(tmp_path / "d.ndjson", comment("a"), gone, comment("c", "t1_b")))
    assert [(said.id, said.thread) for said in messages] == [("t1_a", "t1_a"), ("t1_c", "t1_a")]


def test_missing_parents_are_counted_and_their_children_stay_together(tmp_path: Path) -> None:
    children = [comment("b", "t1_x"), comment("c", "t1_x"), comment("d", "t1_b")]
    messages, tally = taken(write(tmp_path / "d.ndjson", submission(), *children))
    assert [said.thread for said in messages[1:]] == ["t1_x"] * 3
    assert tally.changed == {"answers a comment that is not in the export": 2}
    assert any("2 comments answer a comment" in note for note in tally.notes)


def test_a_parent_that_comes_later_is_not_missing(tmp_path: Path) -> None:
    _, tally = taken(write(tmp_path / "d.ndjson", submission(), comment("b", "t1_a"), comment("a")))
    assert not tally.changed


def test_comments_without_submissions_are_read_and_a_note_says_so(tmp_path: Path) -> None:
    messages, tally = taken(write(tmp_path / "RC.ndjson", comment("a")))
    assert len(messages) == 1
    assert any("submission that is not in the export" in note for note in tally.notes)


def test_submissions_of_another_file_begin_the_conversations(tmp_path: Path) -> None:
    write(tmp_path / "RC_2020-01.zst", comment("a"))
    write(tmp_path / "RS_2020-01.zst", submission(selftext="Green?"))
    (tmp_path / "README.txt").write_text("about these files")
    messages, tally = taken(tmp_path)
    assert {said.id: said.text for said in messages} == {
        "t1_a": "I am a",
        "t3_s": "Which tea?\nGreen?",
    }
    assert not tally.notes


def test_a_submission_that_shows_something_has_a_placeholder(tmp_path: Path) -> None:
    [said], _ = taken(write(tmp_path / "RS.ndjson", submission(post_hint="image")))
    assert said.text == "Which tea?\n[picture]"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (comment("a", body="[deleted]"), "deleted or removed"),
        (comment("a", body="[removed]"), "deleted or removed"),
        (comment("a", body=""), "deleted or removed"),
        (comment("a", author="[deleted]"), "deleted or removed"),
        (submission(selftext="[removed]"), "deleted or removed"),
        (comment("a", _meta={"was_deleted_later": True}), "deleted later"),
        (comment("a", author="AutoModerator"), "by AutoModerator"),
        (comment("a", author="Bitty_Bot"), "by bots"),
        (comment("a", distinguished="moderator"), "by moderators, as such"),
        (comment("a", stickied=True), "pinned by moderators"),
        (comment("a", body="&gt; you said"), "nothing but quotes"),
        (comment("a", created_utc=None), "neither comments nor submissions"),
        (comment("a", created_utc="1e999"), "neither comments nor submissions"),
        (comment("a", body=["x"]), "neither comments nor submissions"),
        (comment("a", id=7), "neither comments nor submissions"),
        ({"kind": "t5"}, "neither comments nor submissions"),
    ],
)
def test_what_nobody_said_is_left_out_and_counted(
    tmp_path: Path, record: JSON, reason: str
) -> None:
    messages, tally = taken(write(tmp_path / "d.ndjson", record, comment("z")))
    assert [said.id for said in messages] == ["t1_z"]
    assert tally.left_out == {reason: 1}


def test_bots_are_kept_when_they_are_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "d.ndjson", comment("a", author="TeaBot"))
    assert len(taken(path, bots=True)[0]) == 1


@pytest.mark.parametrize("written", [NOW, str(NOW), float(NOW)])
def test_times_of_all_years_are_read(tmp_path: Path, written: object) -> None:
    [said], _ = taken(write(tmp_path / "d.ndjson", comment("a", created_utc=written)))
    assert said.at == NOW


@pytest.mark.parametrize("edited", [NOW + 60, float(NOW + 60), True])
def test_edited_comments_are_marked(tmp_path: Path, edited: object) -> None:
    path = write(tmp_path / "d.ndjson", comment("a", edited=edited), comment("b"))
    messages, tally = taken(path)
    assert [said.edited for said in messages] == [True, False]
    assert tally.changed["edited"] == 1


def test_quotes_are_removed_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "d.ndjson", comment("a", body="&gt; is it?\n\nIt is."), comment("b"))
    messages, tally = taken(path)
    assert messages[0].text == "It is."
    assert tally.changed["quote removed"] == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("a &amp; b &lt;3", "a & b <3"),
        ("&amp;#x200B;\n\nhi", "hi"),
        ("see [the docs](https://x.org/a_(b) \"title\"), ok", "see the docs, ok"),
        ("![gif](giphy|abc) ha", "[picture] ha"),
        ("&gt;!secret!&lt; ok", ">!secret!< ok"),
        ("one\r\n\r\n\r\n\r\ntwo", "one\n\ntwo"),
        (r"\*shrugs\* a\_b", "*shrugs* a_b"),
        ("a [b] (c) *d*", "a [b] (c) *d*"),
        ("&gt; q\n&gt;&gt; r\nno", "no"),
    ],
)  # fmt: skip
def test_comments_are_as_they_would_be_read_out(body: str, text: str) -> None:
    assert plain(body)[0] == text


@settings(max_examples=200, deadline=None)
@given(st.text('[]()!\\&>;#x2lgt \n\r"ab', max_size=60))
def test_whatever_a_comment_holds_it_becomes_text(body: str) -> None:
    text, _ = plain(body)
    assert text == text.strip()


def test_only_the_chosen_subreddits_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "d.ndjson", comment("a", subreddit="Tea"), comment("b", subreddit="x"))
    messages, tally = taken(path, subreddits=("tea",))
    assert [said.id for said in messages] == ["t1_a"]
    assert tally.left_out == {"in other subreddits": 1}


def test_of_chosen_authors_the_whole_conversations_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.zst",
        comment("a"),
        comment("b", "t1_a", author="Cem"),
        comment("c", "t3_z", link_id="t3_z"),
    )
    messages, tally = taken(path, authors=("cem",))
    assert [said.id for said in messages] == ["t1_a", "t1_b"]
    assert tally.left_out == {"in conversations without the chosen authors": 1}
    assert tally.read == 3


def test_progress_is_told_in_bytes_of_the_compressed_file(tmp_path: Path) -> None:
    path = write(tmp_path / "d.zst", *(comment(str(number)) for number in range(1000)))
    seen: list[tuple[int, int]] = []
    list(read(path, Tally(progress=lambda done, total: seen.append((done, total))), Options()))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


def test_several_frames_and_characters_across_chunks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.zst"
    frames = [lines([comment(str(number), body="è" * 700)]) for number in range(50)]
    whole = b"".join(frames)
    path.write_bytes(zstandard.compress(whole[:3001]) + zstandard.compress(whole[3001:]))
    messages, _ = taken(path)
    assert [said.text for said in messages] == ["è" * 700] * 50


def many(number: int) -> list[JSON]:
    """Comments that do not compress to nothing."""
    chance = random.Random(7)
    return [comment(str(each), body=chance.randbytes(200).hex()) for each in range(number)]


def test_of_a_frame_that_breaks_off_what_could_be_read_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "RC_1.zst", *many(5000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    write(tmp_path / "RC_2.zst", comment("after"))
    messages: list[Said] = []
    tally = Tally()
    reader = read(tmp_path, tally, Options())
    with pytest.raises(ExportUnusable, match=r"RC_1\.zst breaks off"):
        messages.extend(iter(lambda: next(reader), None))  # extend keeps what came before
    assert len(messages) > 1000
    assert messages[-1].id == "t1_after"


def test_a_plain_file_that_breaks_off_is_said_to(tmp_path: Path) -> None:
    path = write(tmp_path / "d.ndjson", comment("a"), comment("b"))
    path.write_bytes(path.read_bytes()[:-20])
    reader = read(path, Tally(), Options())
    assert next(reader).id == "t1_a"
    with pytest.raises(ExportUnusable, match="breaks off in line 2"):
        list(reader)


def test_a_line_that_is_no_json_is_counted_and_the_next_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.ndjson"
    path.write_bytes(lines([comment("a")]) + b"{oops\n\n" + b"[" * 100_000 + b"\n7\n")
    messages, tally = taken(path)
    assert len(messages) == 1
    assert tally.left_out == {"lines that are no JSON": 2, "neither comments nor submissions": 1}
    assert any("line 2" in note for note in tally.notes)


@pytest.mark.parametrize("data", [b"no zstd at all", zstandard.compress(b"x" * 99)[:6] + b"abc"])
def test_what_is_no_zstd_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "d.zst"
    path.write_bytes(data)
    with pytest.raises(ExportUnusable, match=r"d\.zst"):
        taken(path)


@pytest.mark.parametrize(
    "data", [(b"x" * 9999 + b"\n") * 12_000, b"x" * (20 * 2**20)], ids=["of lines", "of one line"]
)
def test_a_bomb_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "d.zst"
    path.write_bytes(zstandard.compress(data))
    with pytest.raises(ExportUnusable, match="no Reddit dump"):
        taken(path)


@pytest.mark.parametrize("data", [b"", b"dear diary\n", b'{"a": 1}\n[]\n'])
@pytest.mark.parametrize("name", ["d.zst", "d.ndjson"])
def test_what_is_no_dump_is_said_to_be_none(tmp_path: Path, name: str, data: bytes) -> None:
    packed = zstandard.compress(data) if name == "d.zst" and data else data
    (tmp_path / name).write_bytes(packed)
    with pytest.raises(ExportUnusable, match="no comment and no submission"):
        taken(tmp_path / name)


def test_a_folder_without_dumps_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(ExportUnusable, match=r"no \.zst, \.ndjson or \.jsonl file"):
        taken(tmp_path)


HOSTILE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]),
    st.just({"was_deleted_later": 1}),
    st.sampled_from(["t1_a", "t3_s", "x", "\ud83d", "\0", "1e9"]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_a_record_holds_it_is_kept_or_counted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    record = data.draw(st.sampled_from([comment("a"), submission()]))
    keys = st.sampled_from([*record, "_meta", "distinguished", "stickied", "post_hint"])
    record = record | data.draw(st.dictionaries(keys, HOSTILE, max_size=3))
    path = write(tmp_path_factory.mktemp("dump") / "d.ndjson", record, comment("z"))
    messages, tally = taken(path)
    assert messages[-1].id == "t1_z"
    assert tally.read == 2


CHILD = textwrap.dedent("""
    import resource, sys
    from pathlib import Path
    from models.exports.neutral import Options, Tally
    from models.exports.reddit import read
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 24 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    print(sum(1 for _ in read(Path(sys.argv[1]), Tally(), Options(authors=("ann",)))))
""")


@pytest.mark.slow
def test_a_dump_is_read_in_less_memory_than_it_has(tmp_path: Path) -> None:
    path = tmp_path / "RC_2020-01.zst"
    size = 0
    with zstandard.open(path, "wb", cctx=zstandard.ZstdCompressor(level=1)) as file:
        for part in range(20):
            block = lines([comment(f"{part}x{each}", body="word " * 400) for each in range(1000)])
            size += file.write(block)
    ended = subprocess.run([sys.executable, "-c", CHILD, path], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("20000\n", "")
    assert size > 40 * 2**20
