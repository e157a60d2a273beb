"""Frames come whole, whatever pieces their bytes come in, and what is no frame is said to be none."""

from __future__ import annotations

import random

import pytest

from dw_lsp.protocol import HEADER, Cancel, FromWorker, Hello, LogLine, MalformedMessage, Pong, encode
from dw_lsp.supervisor.channel import Frames

MESSAGES: list[FromWorker] = [Hello(1, 2, "python", "3.11"), LogLine("info", "ä" * 1000), Pong(1, 2, 3, 0.5)]
BYTES = b"".join(encode(message) for message in MESSAGES)


def test_several_messages_in_one_piece() -> None:
    assert list(Frames().feed(BYTES)) == MESSAGES


def test_one_byte_at_a_time() -> None:
    frames = Frames()
    assert [message for byte in BYTES for message in frames.feed(bytes([byte]))] == MESSAGES


@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_any_size(seed: int) -> None:
    chance, frames, rest, heard = random.Random(seed), Frames(), BYTES, []
    while rest:
        size = chance.randint(1, 700)
        heard += list(frames.feed(rest[:size]))
        rest = rest[size:]
    assert heard == MESSAGES
    assert not frames.torn


@pytest.mark.parametrize("left", [1, 3, 4, 5, 20])
def test_a_message_that_was_cut_off_is_torn(left: int) -> None:
    frames = Frames()
    assert list(frames.feed(BYTES + encode(MESSAGES[0])[:left])) == MESSAGES
    assert frames.torn


@pytest.mark.parametrize("left", [1, 3, 4, 5, 20, 900])
def test_a_message_in_the_middle_of_another_is_noticed_at_once(left: int) -> None:
    frames, next_one = Frames(), encode(MESSAGES[2])
    assert list(frames.feed(encode(MESSAGES[1])[:left])) == []
    with pytest.raises(MalformedMessage):
        list(frames.feed(next_one))


def test_what_is_printed_before_the_first_message_is_shown() -> None:
    with pytest.raises(MalformedMessage, match=r"'Welcome to gpu-box!'.*shell or ssh"):
        list(Frames().feed(b"Welcome to gpu-box!\n" + BYTES))


def test_nonsense_after_a_message_is_a_broken_stream() -> None:
    frames = Frames()
    with pytest.raises(MalformedMessage, match="the stream of messages is broken"):
        list(frames.feed(BYTES + b"printed by a library\n"))


def test_messages_before_the_nonsense_are_heard() -> None:
    heard = []
    with pytest.raises(MalformedMessage):
        for message in Frames().feed(BYTES + b"nonsense"):
            heard.append(message)
    assert heard == MESSAGES


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"kind": "Nothing"}', b'{"kind": "Pong"}', b"\xff\xfe"])
def test_a_frame_without_a_message(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        list(Frames().feed(HEADER.pack(len(body)) + body))


def test_a_worker_may_not_say_what_it_is_told() -> None:
    with pytest.raises(MalformedMessage, match="a Cancel came from the worker"):
        list(Frames().feed(encode(Cancel("r1"))))
