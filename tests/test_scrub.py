"""What scrubbing promises: what is private is gone and counted, ordinary chat stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.dataset.scrub import KINDS, scrub


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("write to a.b+c@example.co.uk!", "write to [email]!"),
        ("mailto:ann@example.org", "[email]"),
        ("+49 170 1234567", "[phone]"),
        ("call me at 0170 1234567", "call me at [phone]"),
        ("(212) 555-0123 or 202-555-0143", "[phone] or [phone]"),
        ("+1 (555) 123-4567 is nobody's, but looks it", "[phone] is nobody's, but looks it"),
        ("00491701234567", "[phone]"),
        ("card 4111 1111 1111 1111 12/26", "card [card] 12/26"),
        ("5500005555555559", "[card]"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [iban] please"),
        ("gb82west12345698765432.", "[iban]."),
        ("server is 203.0.113.7:8080", "server is [ip]"),
        ("and 2001:db8::7 too", "and [ip] too"),
        ("https://example.com/a?token=1 look", "[link] look"),
        ("see docs.example.com/d/1x2y3z", "see [link]"),
        ("www.example.com", "[link]"),
        ("postgres://ada:pw@db/x now", "[link] now"),
        ("http://ada:pw@example.com/", "[link]"),
        ("key AKIAIOSFODNN7EXAMPLE!", "key [secret]!"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[secret]"),
        ("sk-proj-abc123DEF456ghi789JKL012mno345", "[secret]"),
        ("password: hunter2 ok", "password: [secret] ok"),
        ("the wifi pwd = correcthorse", "the wifi pwd = [secret]"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nAbc=\n-----END RSA PRIVATE KEY-----\nbye",
            "[secret]\nbye",
        ),
    ],
)
def test_what_is_private_is_replaced_by_its_kind(text: str, clean: str) -> None:
    found, counts = scrub(text)
    assert found == clean
    assert counts.total() == clean.count("[")


@pytest.mark.parametrize(
    "text",
    [
        "see you at 10:30 on 12.03.2024, or 2024-03-12 18:30:15",
        "12/03/2024 20:00-22:00",
        "it was 1,200.50 euros, no: 1.200,50 €, or 2000000000 dollars",
        "order 123456789 has 3 parts, in 2-3 weeks",
        "2010-2020 was a decade, 2023/2024 a season",
        "21-19 22-20 15-13, what a game",
        "1 2 3 4 5 6 7 8 9 10 here I come",
        "100 200 300 400",
        "pi is 3.14159265358979",
        "version 10.0.19041.1234, build 20240312",
        "message 1234567890123456789 has id 1582960137.003543",
        "1 000 000 000 000 000 stars",
        "ISBN 978-3-16-148410-0",
        "call 911 or 112",
        "that's it.so what",
        "node.js, readme.md, e.g. std::vector and ::",
        "secret: I love her",
        "her password is on the fridge",
        "I0326 22:57:06.074105  1271 exec.cpp:134] (-0.683333, 24.083333)",
        "/usr/local/lib/python2.7/dist-packages/pkg_resources/__init__.py",
        "Donaudampfschifffahrtsgesellschaftskapitän",
        "haha" * 40,
        "NOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO",
        "+1 for pizza, +2 for you, +10 000 000 points",
        "@ann meet @bob at the #party :) <3",
        "DE89 is a postcode, GB82 a song",
        "",
    ],
)
def test_ordinary_chat_is_left_alone(text: str) -> None:
    assert scrub(text) == (text, {})


def test_what_the_source_marks_as_private_is_replaced_whatever_it_looks_like() -> None:
    text = "555-1234, ann at home: ann@home, 4111111111111111"
    private = ("555-1234", "ann@home", "4111111111111111")
    clean, counts = scrub(text, private=private)
    assert clean == "[phone], ann at home: [email], [card]"
    assert counts == {"phone": 1, "email": 1, "card": 1}


def test_words_of_the_operator_are_replaced_in_any_case_and_only_whole() -> None:
    clean, counts = scrub("Ruritania! The RURITANIAN king", blocked=("ruritania", "king"))
    assert clean == "[blocked]! The RURITANIAN [blocked]"
    assert counts == {"blocked": 2}


def test_national_numbers_are_found_for_the_countries_that_are_named() -> None:
    assert scrub("06 12 34 56 78", regions=("FR",))[0] == "[phone]"
    assert scrub("06 12 34 56 78", regions=("US",))[0] == "06 12 34 56 78"
    assert scrub("+33 6 12 34 56 78", regions=())[0] == "[phone]"


def test_what_overlaps_goes_as_one() -> None:
    assert scrub("https://example.com/?mail=ann@example.com&to=+491701234567") == (
        "[link]",
        {"link": 1},
    )


def test_scrubbing_twice_finds_nothing_more() -> None:
    once, _ = scrub("ann@example.com, +49 170 1234567, https://example.com/x, pwd: hunter22")
    assert scrub(once) == (once, {})


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab1 .:/@+-_=()[]\n0DE4\u0660é😀"), max_size=120))
def test_no_text_is_damaged_around_what_is_replaced(text: str) -> None:
    clean, counts = scrub(text)
    assert set(counts) <= set(KINDS)
    if not counts:
        assert clean == text


@pytest.mark.parametrize(
    "piece", ["a.", "@", "1 ", "://", "// /:", "password", "+1", "1-", "DE89", ":", "x@y.", "0:"]
)
def test_a_very_long_message_is_scrubbed_within_the_time_of_a_test(piece: str) -> None:
    clean, _ = scrub(piece * (40_000 // len(piece)))
    assert clean
