"""Texts reach each platform whole, in its dialect, within its limits, and do nothing there."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import get_args
from unicodedata import category

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdaemon.ports import Dialect, Traits
from botdaemon.render import CONTINUES, draft, render, split

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
ZERO = "\u200b"
HIDDEN = ("Cc", "Cf")

# --- what each dialect looks like -------------------------------------------------------------

GOLDEN: dict[str, tuple[str, dict[Dialect, str]]] = {
    "emphasis": (
        "**bold** *italic* ~~gone~~ ***both***",
        {
            "plain": "bold italic gone both",
            "discord": "**bold** *italic* ~~gone~~ ***both***",
            "mrkdwn": "*bold* _italic_ ~gone~ _*both*_",
            "telegram": "<b>bold</b> <i>italic</i> <s>gone</s> <i><b>both</b></i>",
        },
    ),
    "nested emphasis": (
        "**a *b* c**",
        {
            "plain": "a b c",
            "discord": "**a *b* c**",
            "mrkdwn": "*a _b_ c*",
            "telegram": "<b>a <i>b</i> c</b>",
        },
    ),
    "emphasis within a word": (
        "un**believ**able",
        {
            "discord": "un**believ**able",
            "mrkdwn": f"un{ZERO}*believ*{ZERO}able",
            "telegram": "un<b>believ</b>able",
        },
    ),
    "neighbouring emphasis": (
        "*a*__b__",
        {
            "plain": "ab",
            "discord": f"*a*{ZERO}**b**",
            "mrkdwn": f"_a_{ZERO}*b*",
            "telegram": "<i>a</i><b>b</b>",
        },
    ),
    "a code span": (
        "use `a < *b*` here",
        {
            "plain": "use a < *b* here",
            "discord": "use `a < *b*` here",
            "mrkdwn": "use `a &lt; *b*` here",
            "telegram": "use <code>a &lt; *b*</code> here",
        },
    ),
    "a code span with a backtick": (
        "`` a`b ``",
        {
            "plain": "a`b",
            "discord": "``a`b``",
            "mrkdwn": "`a\u02cbb`",
            "telegram": "<code>a`b</code>",
        },
    ),
    "a fence": (
        "```py title\nif a < b:\n    pass\n```",
        {
            "plain": "if a < b:\n    pass",
            "discord": "```py\nif a < b:\n    pass\n```",
            "mrkdwn": "```\nif a &lt; b:\n    pass\n```",
            "telegram": '<pre><code class="language-py">if a &lt; b:\n    pass</code></pre>',
        },
    ),
    "a fence that shows a longer fence": (
        "~~~\n``````\n~~~",
        {
            "discord": f"```\n``{ZERO}``{ZERO}``\n```",
            "mrkdwn": f"```\n``{ZERO}``{ZERO}``\n```",
        },
    ),
    "a fence that shows a fence": (
        "````\n```\nx\n```\n````",
        {
            "plain": "```\nx\n```",
            "discord": f"```\n``{ZERO}`\nx\n``{ZERO}`\n```",
            "telegram": "<pre>```\nx\n```</pre>",
        },
    ),
    "a link": (
        "see [the *docs*](https://x.org/a_(b)?c=1&d=2).",
        {
            "plain": "see the docs (https://x.org/a_(b)?c=1&d=2).",
            "discord": "see [the *docs*](<https://x.org/a_(b)?c=1&d=2>).",
            "mrkdwn": "see <https://x.org/a_(b)?c=1&amp;d=2|the docs>.",
            "telegram": 'see <a href="https://x.org/a_(b)?c=1&amp;d=2">the <i>docs</i></a>.',
        },
    ),
    "an address written out": (
        "see https://x.org/a_b_c, or <https://y.org>.",
        {
            "plain": "see https://x.org/a_b_c, or https://y.org.",
            "discord": "see <https://x.org/a_b_c>, or <https://y.org>.",
            "mrkdwn": "see <https://x.org/a_b_c>, or <https://y.org>.",
            "telegram": "see https://x.org/a_b_c, or https://y.org.",
        },
    ),
    "a link that no platform opens": (
        "[file](/etc/passwd) [me](tg://user?id=1) [evil](javascript:x)",
        {
            "plain": "file (/etc/passwd) me (tg://user?id=1) [evil](javascript:x)",
            "telegram": "file (/etc/passwd) me (tg://user?id=1) [evil](javascript:x)",
            "discord": r"file (/etc/passwd) me (tg://user?id=1) \[evil\](javascript:x)",
        },
    ),
    "an image": (
        "![a cat](https://x.org/cat.png)",
        {
            "plain": "a cat (https://x.org/cat.png)",
            "discord": "[a cat](<https://x.org/cat.png>)",
            "mrkdwn": "<https://x.org/cat.png|a cat>",
            "telegram": '<a href="https://x.org/cat.png">a cat</a>',
        },
    ),
    "headings": (
        "# One **two**\n#### Three **four**",
        {
            "plain": "One two\n\nThree four",
            "discord": "# One **two**\n\n**Three four**",
            "mrkdwn": "*One two*\n\n*Three four*",
            "telegram": "<b>One two</b>\n\n<b>Three four</b>",
        },
    ),
    "lists": (
        "- a\n- b\n  continued\n  1. c\n  2. d\n- e\n\n3. f\n4. g",
        {
            "plain": "• a\n• b\n  continued\n  1. c\n  2. d\n• e\n\n3. f\n4. g",
            "discord": "- a\n- b\n  continued\n  1. c\n  2. d\n- e\n\n3. f\n4. g",
            "mrkdwn": "• a\n• b\n  continued\n  1. c\n  2. d\n• e\n\n3. f\n4. g",
            "telegram": "• a\n• b\n  continued\n  1. c\n  2. d\n• e\n\n3. f\n4. g",
        },
    ),
    "code in a list": (
        "1. do\n   ```sh\n   ls\n   ```\n2. done",
        {
            "plain": "1. do\nls\n2. done",
            "discord": "1. do\n```sh\nls\n```\n2. done",
            "telegram": '1. do\n<pre><code class="language-sh">ls</code></pre>\n2. done',
        },
    ),
    "quotes": (
        "> a **b**\n> c\n>\n> > d\n\nafter",
        {
            "plain": "> a b\n> c\n>\n> > d\n\nafter",
            "discord": "> a **b**\n> c\n> \n> d\n\nafter",
            "mrkdwn": "> a *b*\n> c\n>\n> d\n\nafter",
            "telegram": "<blockquote>a <b>b</b>\nc\n\nd</blockquote>\n\nafter",
        },
    ),
    "a table": (
        "| name | n |\n|:--|--:|\n| *x* | 10 |\n| 中文 | 3 |",
        {
            "plain": "name |  n\n-----+---\nx    | 10\n中文 |  3",
            "discord": "```\nname |  n\n-----+---\nx    | 10\n中文 |  3\n```",
            "mrkdwn": "```\nname |  n\n-----+---\nx    | 10\n中文 |  3\n```",
            "telegram": "<pre>name |  n\n-----+---\nx    | 10\n中文 |  3</pre>",
        },
    ),
    "a rule": ("a\n\n***\n\nb", dict.fromkeys(DIALECTS[1:], "a\n\n\u2014\u2014\u2014\n\nb")),
    "text that looks like markup": (
        r"2 * 3 * 4, a_b_c, \*lit\*, \# no, ||no||, <b>&amp;",
        {
            "plain": "2 * 3 * 4, a_b_c, *lit*, # no, ||no||, <b>&",
            "discord": r"2 * 3 * 4, a_b_c, \*lit\*, # no, \|\|no\|\|, \<b>&",
            "mrkdwn": f"2 * 3 * 4, a_b_c, *{ZERO}lit*, # no, ||no||, &lt;b&gt;&amp;",
            "telegram": "2 * 3 * 4, a_b_c, *lit*, # no, ||no||, &lt;b&gt;&amp;",
        },
    ),
    "marks that are text beside marks that are not": (
        r"\*`code`\* \__it_\_",
        {
            "discord": r"\*`code`\* \_*it*\_",
            "mrkdwn": f"*{ZERO}`code`* _{ZERO}_it__",
        },
    ),
    "lines that look like blocks": (
        "\\# a\n\\- b\n1\\. c\n\\> d\n-5",
        {
            "plain": "# a\n- b\n1. c\n> d\n-5",
            "discord": "\\# a\n\\- b\n1\\. c\n\\> d\n-5",
            "mrkdwn": f"# a\n- b\n1. c\n{ZERO}&gt; d\n-5",
            "telegram": "# a\n- b\n1. c\n&gt; d\n-5",
        },
    ),
    "control sequences": (
        "<!channel> <!here> <@U123> <#C1> <@&5> </x:1>",
        {
            "plain": "<!channel> <!here> <@U123> <#C1> <@&5> </x:1>",
            "discord": r"\<!channel> \<!here> \<@U123> \<#C1> \<@\&5> \</x:1>",
            "mrkdwn": "&lt;!channel&gt; &lt;!here&gt; &lt;@U123&gt; &lt;#C1&gt; &lt;@&amp;5&gt; "
            "&lt;/x:1&gt;",
            "telegram": f"&lt;!channel&gt; &lt;!here&gt; &lt;@{ZERO}U123&gt; &lt;#C1&gt; "
            "&lt;@&amp;5&gt; &lt;/x:1&gt;",
        },
    ),
    "characters that a terminal obeys": (
        "a\x1b[31mb\x00c\ud800d\r\ne",
        dict.fromkeys(("plain", "commonmark", "telegram"), "a\ufffd[31mb\ufffdc\ufffdd\ne"),
    ),
    "a definition nobody refers to": (
        "[note]: https://x.org",
        {"plain": "[note]: https://x.org", "telegram": "[note]: https://x.org"},
    ),
    "an address in a text that is not laid out": (
        "> " * 30 + "https://x.org/a_b_c",
        {"discord": "\\> " + "> " * 29 + "<https://x.org/a_b_c>"},
    ),
    "an empty heading": ("#", {"plain": "#", "telegram": "#", "discord": "\\#"}),
}


@pytest.mark.parametrize(
    ("source", "dialect", "expected"),
    [
        pytest.param(source, dialect, expected, id=f"{name}-{dialect}")
        for name, (source, dialects) in GOLDEN.items()
        for dialect, expected in dialects.items()
    ],
)
def test_markdown_is_shown_in_the_dialect_of_the_platform(
    source: str, dialect: Dialect, expected: str
) -> None:
    assert render(source, dialect) == expected


def test_commonmark_stays_as_it_was_written() -> None:
    source = "# a\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n* b\n* <c>\n"
    assert render(source, "commonmark") == source
    assert split(source, traits("commonmark", 2000)).parts[0].text == source


# --- splitting --------------------------------------------------------------------------------


def traits(dialect: Dialect, limit: int, *, parts: int = 1000) -> Traits:
    return Traits(
        dialect=dialect,
        text_limit=limit,
        text_unit="utf-16" if dialect == "telegram" else "characters",
        parts_limit=parts,
    )


def texts(source: str, dialect: Dialect, limit: int) -> list[str]:
    return [part.text for part in split(source, traits(dialect, limit)).parts]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("one two three.\n\nfour. f\nfive six", ["one two three.", "four. f\nfive six"]),
        ("one two three\nfour. fi five six", ["one two three", "four. fi five six"]),
        ("one. two, three four. five six", ["one. two, three four.", "five six"]),
        ("one two three fourx fives sixx seven", ["one two three fourx", "fives sixx seven"]),
        ("x" * 50, ["x" * 24, "x" * 24, "xx"]),
        ("short " + "x" * 30, ["short", "x" * 24, "x" * 6]),
    ],
    ids=["paragraph", "line", "sentence", "space", "hard", "early space rather than hard"],
)
def test_a_text_is_cut_where_it_hurts_least(source: str, expected: list[str]) -> None:
    assert texts(source, "plain", 24) == expected


def test_a_fence_that_is_cut_is_closed_and_opened_again_with_its_language() -> None:
    code = "\n".join(f"line {n}" for n in range(20))
    parts = texts(f"Look:\n\n```py\n{code}\n```\n\nDone.", "discord", 64)
    assert len(parts) > 2
    assert all("```py\nline" in part for part in parts)
    assert all(part.count("```") == 2 for part in parts)
    assert re.findall(r"line \d+", "\n".join(parts)) == code.split("\n")
    assert parts[-1].endswith("```\n\nDone.")


def test_blank_lines_and_indents_of_code_survive_the_cut() -> None:
    code = "\n".join(f"    a{n}\n" for n in range(20)).rstrip("\n")
    parts = split(f"```\n{code}\n```", traits("telegram", 64)).parts
    assert len(parts) > 2
    assert "\n".join(part.plain for part in parts) == code


def test_emphasis_that_is_cut_is_closed_and_opened_again() -> None:
    parts = texts("**" + "word " * 20 + "end**", "telegram", 64)
    assert len(parts) == 2
    assert all(part.startswith("<b>word") and part.endswith("</b>") for part in parts)


def test_a_link_is_moved_rather_than_cut() -> None:
    parts = texts("some words " * 7 + "the [label of it](https://example.org/x)", "mrkdwn", 100)
    assert len(parts) == 2
    assert parts[1].endswith("the <https://example.org/x|label of it>")


@pytest.mark.parametrize("tail", ["a" * 300, "?" + "&" * 45])
def test_a_link_that_would_fill_a_message_is_written_out(tail: str) -> None:
    url = "https://example.org/" + tail
    parts = split(f"[label]({url})", traits("telegram", 200)).parts
    assert "".join(part.plain for part in parts) in (f"label ({url})", f"label({url})")
    assert all(len(part.text) <= 200 for part in parts)


@pytest.mark.parametrize(
    "character",
    ["e\u0301", "👨\u200d👩\u200d👧", "👍🏽", "🇩🇪", "❤\ufe0f"],
    ids=["accent", "family", "skin tone", "flag", "variation"],
)
def test_what_a_reader_sees_as_one_character_is_not_cut(character: str) -> None:
    parts = split("a" + character * 40, traits("telegram", 21)).parts
    assert len(parts) > 1
    assert all(set(part.text.split(character)) <= {"", "a"} for part in parts)


def test_telegram_counts_in_utf_16() -> None:
    assert len(texts("😀" * 64, "telegram", 128)) == 1
    assert len(texts("😀" * 65, "telegram", 128)) == 2


def test_a_text_too_long_for_the_platform_goes_on_in_a_file() -> None:
    source = "\n\n".join(f"Paragraph **{n}** of a long answer." for n in range(100))
    result = split(source, traits("discord", 200, parts=3))
    assert len(result.parts) == 3
    assert result.parts[-1].text.endswith("\n\n" + CONTINUES)
    assert result.parts[-1].plain.endswith("\n\n" + CONTINUES)
    assert all(len(part.text) <= 200 for part in result.parts)
    assert result.rest == source
    assert CONTINUES not in result.parts[0].text


def test_a_text_that_just_fits_has_no_file() -> None:
    result = split("a " * 99 + "a", traits("discord", 100, parts=2))
    assert len(result.parts) == 2
    assert result.rest == ""


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("source", ["", " ", "\n\n", "\t\n", "\u200b", "\u202e \u2060"])
def test_nothing_said_is_no_message(dialect: Dialect, source: str) -> None:
    assert split(source, traits(dialect, 100)) == split("", traits(dialect, 100))
    assert split(source, traits(dialect, 100)).parts == ()


# --- drafts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("growing", "shown"),
    [
        ("a **bol", "a <b>bol</b>"),
        ("a **bold*", "a <b>bold</b>"),
        ("a **", "a"),
        ("a *b **c", "a <i>b <b>c</b></i>"),
        ("run `ls -", "run <code>ls -</code>"),
        ("see [the docs](https://x.o", "see the docs"),
        ("see [the do", "see the do"),
        ("```py\nx = 1", '<pre><code class="language-py">x = 1</code></pre>'),
        ("2 * 3 and a_b", "2 * 3 and a_b"),
        ("a\n\n- *b* c **d", "a\n\n• <i>b</i> c <b>d</b>"),
    ],
)
def test_a_draft_closes_what_is_still_open(growing: str, shown: str) -> None:
    assert draft(growing, traits("telegram", 4096)).text == shown


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_draft_longer_than_a_message_ends_in_an_ellipsis(dialect: Dialect) -> None:
    part = draft("**word** " * 1000, traits(dialect, 100))
    assert part.text.endswith("\u2026")
    assert 50 < len(part.text) <= 100


def test_a_finished_draft_looks_like_the_message() -> None:
    source = "# Hi\n\n**a** `b`\n\n```py\nc\n```"
    for dialect in DIALECTS:
        assert draft(source, traits(dialect, 2000)).text == render(source, dialect)


# --- promises for any text --------------------------------------------------------------------

_SNIPPETS = [
    *("**", "*", "_", "__", "~~", "`", "```", "```py\n", "\n```\n", "\n", "\n\n", "\n\n\n"),
    *("> ", "\n> ", "- ", "\n- ", "\n  - ", "1. ", "\n2) ", "# ", "\n### ", "    ", "\t"),
    *("[", "](", ")", "]", "![", "[a b](https://x.org/y)", "<https://x.org>", "https://x.org/a_b"),
    *("<", ">", "&", "&amp;", "<b>", "</b>", "<!channel>", "<@U1>", "|", "\n|a|b|\n|-|-|\n|c|"),
    *(
        "word",
        "two words. ",
        "Ende! ",
        "中文。",
        "👨\u200d👩\u200d👧",
        "🇩🇪",
        "e\u0301",
        "\\",
        "---",
    ),
    *("\u05d0\u05d1", "\u202e", "\u200b", "\xa0", "\x00", "\x1b[0m", "\ud800", "\ufffe", "\r\n"),
]
markdown = st.one_of(
    st.lists(st.sampled_from(_SNIPPETS), max_size=60).map("".join),
    st.lists(st.one_of(st.sampled_from(_SNIPPETS), st.text(max_size=8)), max_size=30).map("".join),
    st.text(st.characters(codec=None, categories=None), max_size=200),
)
limits = st.integers(min_value=100, max_value=400)
any_dialect = st.sampled_from(DIALECTS)
patient = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def size(text: str, dialect: Dialect) -> int:
    return len(text.encode("utf-16-le")) // 2 if dialect == "telegram" else len(text)


def characters(text: str) -> str:
    """All that can be seen."""
    return "".join(
        char for char in text if category(char)[0] != "Z" and category(char) not in HIDDEN
    )


def is_within(few: str, many: str) -> bool:
    """All characters of `few` are in `many`, in this order."""
    rest = iter(many)
    return all(char in rest for char in few)


class Tags(HTMLParser):
    """Refuses what Telegram's parser would refuse."""

    allowed = frozenset({"b", "i", "s", "u", "code", "pre", "a", "blockquote"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.allowed
        assert [name for name, _ in attrs] in ([], ["href"], ["class"])
        assert not {"a", "code"} & set(self.open), "nothing may stand in these"
        assert "pre" not in self.open or tag == "code"
        assert tag not in self.open
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert "<" not in data
        self.text += data

    def handle_entityref(self, name: str) -> None:
        self.text += {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}[name]


@patient
@given(markdown, any_dialect, limits)
def test_no_part_is_longer_than_the_limit(source: str, dialect: Dialect, limit: int) -> None:
    result = split(source, traits(dialect, limit, parts=4))
    assert len(result.parts) <= 4
    for part in (*result.parts, draft(source, traits(dialect, limit))):
        assert size(part.text, dialect) <= limit
        assert size(part.plain, dialect) <= limit


@patient
@given(markdown, any_dialect, limits)
def test_nothing_is_lost(source: str, dialect: Dialect, limit: int) -> None:
    result = split(source, traits(dialect, limit))
    assert result.rest == ""
    parts = "".join(part.plain for part in result.parts)
    assert is_within(characters(render(source, "plain")), characters(parts))


marked_words = st.tuples(
    st.text("abcxyz", min_size=1, max_size=9),  # no digits: they would be numbered lists
    st.sampled_from(["{}", "**{}**", "*{}*", "`{}`", "~~{}~~", "{}.", "{}!"]),
    st.sampled_from([" ", " ", " ", "\n", "\n\n"]),
)


@patient
@given(st.lists(marked_words, max_size=80), any_dialect)
def test_every_word_arrives_once_and_in_order(
    words: list[tuple[str, str, str]], dialect: Dialect
) -> None:
    source = "A " + "".join(mark.format(word) + blank for word, mark, blank in words)
    spoken = ["A", *(re.sub("[*`~]", "", mark).format(word) for word, mark, _ in words)]
    result = split(source, traits(dialect, 64))
    assert " ".join(part.plain for part in result.parts).split() == spoken


@patient
@given(markdown, limits)
def test_telegram_is_never_sent_a_tag_it_refuses(source: str, limit: int) -> None:
    parts = split(source, traits("telegram", limit)).parts
    for text in (render(source, "telegram"), *(part.text for part in parts)):
        parser = Tags()
        parser.feed(text)
        parser.close()
        assert parser.open == []
    whole = Tags()
    whole.feed(render("`x` " + source, "telegram"))


@patient
@given(markdown, limits)
def test_slack_is_never_sent_a_control_sequence(source: str, limit: int) -> None:
    parts = split(source, traits("mrkdwn", limit)).parts
    for text in (render(source, "mrkdwn"), *(part.text for part in parts)):
        links = re.sub(r"<https?://[^<>|\s]+(\|[^<>\n]*)?>", "", text)
        assert "<" not in links
        assert not re.search(r"&(?!amp;|lt;|gt;)", text)


@patient
@given(markdown, st.sampled_from(["discord", "mrkdwn"]), limits)
def test_a_fence_is_closed_in_the_part_that_opens_it(
    source: str, dialect: Dialect, limit: int
) -> None:
    for part in split(source, traits(dialect, limit)).parts:
        fences = re.findall(r"^(?:> )?```", part.text, re.MULTILINE)
        assert len(fences) % 2 == 0
        assert part.text.replace("\\`", "").count("```") == len(fences)


@patient
@given(markdown, any_dialect)
def test_a_short_text_is_one_part_as_rendered(source: str, dialect: Dialect) -> None:
    parts = split(source, traits(dialect, 100_000)).parts
    if parts:
        assert [part.text for part in parts] == [render(source, dialect)]
        assert parts[0].plain == render(source, "plain")
    else:
        assert characters(render(source, "plain")) == ""


# Mostly what needs no rendering, and a little of what does.
prose = st.text(
    st.one_of(
        st.sampled_from("abzéß09 .,:;!?'\"()-+=#@$%^{}…\u00a0\u2028\u3000\t🙂"), st.characters()
    ),
    max_size=40,
).map("a".__add__)


@patient
@given(prose, any_dialect)
def test_prose_is_taken_as_it_is_just_as_if_it_had_been_rendered(
    source: str, dialect: Dialect
) -> None:
    shown = render(source, dialect)
    [part] = split(source, traits(dialect, 100)).parts
    assert (part.text, part.plain) == (shown, render(source, "plain"))


@patient
@given(markdown)
def test_a_terminal_is_never_told_what_to_do(source: str) -> None:
    shown = render(source, "plain")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    shown.encode()


# --- texts made to hurt -----------------------------------------------------------------------

_MEGABYTE = 2**20


@pytest.mark.parametrize(
    "unit",
    [
        *("*", "_", "[", "![", "`", "` `` ``` ", ">", "> ", "- ", "<", "&", "|", "~~", "# "),
        *("\n", " ", "a", "*a **b ", "[a](", "[a](b) ", "https://", "- a\n", "> a\n>> b\n"),
        *("|a|a\n", "_x_ ", "e\u0301", "\u0301", "🇩", "```\n", "\\", "😀", "\x00"),
    ],
)
def test_a_megabyte_of_anything_is_a_few_parts_and_a_file(unit: str) -> None:
    source = (unit * (_MEGABYTE // len(unit)))[:_MEGABYTE]
    for platform in (traits("telegram", 4096, parts=8), traits("discord", 2000, parts=8)):
        result = split(source, platform)
        assert len(result.parts) <= 8
        assert (result.rest != "") == (source.strip() != "")
        draft(source, platform)
    assert len(render(source, "plain")) >= len(source.strip())


@pytest.mark.parametrize(
    "source",
    [
        "> " * 300 + "deep",
        "\n".join("  " * depth + "- deep" for depth in range(100)),
        "[" * 3000 + "deep" + "](https://x.org)" * 3000,
        "![" * 400 + "deep" + "](https://x.org)" * 400,
        "*a **b " * 2000 + "deep",
        "> " * 15 + "deep\n" * 2000,
        "|a" * 3000 + "\n" + "|-" * 3000 + "\n" + "|deep\n" * 3000,
    ],
    ids=["quotes", "lists", "links", "images", "emphasis", "lazy lines", "wide table"],
)
def test_deep_nesting_loses_no_text(source: str) -> None:
    for dialect in DIALECTS:
        assert render(source, dialect).count("deep") == source.count("deep")
