"""Frames over descriptors: whole messages, whatever the pieces they arrive in."""

from __future__ import annotations

import os
import threading

import pytest

from dw_lsp.protocol import HEADER, LogLine, MalformedMessage, Ping, encode
from dw_lsp.worker.channel import Channel


def pair() -> tuple[Channel, int, int, list[str]]:
    """A channel, the end to write to it, the end to read from it, and notes of its counterpart's going."""
    incoming, to_channel = os.pipe()
    from_channel, outgoing = os.pipe()
    gone: list[str] = []
    return Channel(incoming, outgoing, lambda: gone.append("gone")), to_channel, from_channel, gone


def test_a_message_arrives_whole_even_byte_by_byte() -> None:
    channel, to_channel, _, _ = pair()
    data = encode(Ping(7))

    def trickle() -> None:
        for index in range(len(data)):
            os.write(to_channel, data[index : index + 1])

    thread = threading.Thread(target=trickle)
    thread.start()
    assert channel.receive() == Ping(7)
    thread.join()


def test_the_end_of_the_stream_is_told_as_none() -> None:
    channel, to_channel, _, _ = pair()
    os.close(to_channel)
    assert channel.receive() is None


def test_a_torn_frame_is_the_end_of_the_stream() -> None:
    channel, to_channel, _, _ = pair()
    os.write(to_channel, encode(Ping(7))[:-3])
    os.close(to_channel)
    assert channel.receive() is None


def test_after_a_frame_that_is_no_message_the_next_one_is_read() -> None:
    channel, to_channel, _, _ = pair()
    body = b'{"kind": "Nonsense"}'
    os.write(to_channel, HEADER.pack(len(body)) + body + encode(Ping(8)))
    with pytest.raises(MalformedMessage):
        channel.receive()
    assert channel.receive() == Ping(8)


def test_an_impossible_length_ends_the_conversation() -> None:
    channel, to_channel, _, _ = pair()
    os.write(to_channel, HEADER.pack(2**32 - 1))
    with pytest.raises(ConnectionError, match="cannot be followed"):
        channel.receive()


def test_messages_of_many_threads_do_not_mix() -> None:
    channel, _, from_channel, _ = pair()
    reader = Channel(from_channel, 1, lambda: None)
    senders = [
        threading.Thread(target=lambda level=level: [channel.send(LogLine(level, "x" * 5000)) for _ in range(50)])
        for level in ("info", "warning", "error")
    ]
    for sender in senders:
        sender.start()
    found = [reader.receive() for _ in range(150)]
    for sender in senders:
        sender.join()
    assert all(isinstance(message, LogLine) and message.message == "x" * 5000 for message in found)


def test_who_does_not_listen_any_more_is_gone() -> None:
    channel, _, from_channel, gone = pair()
    os.close(from_channel)
    channel.send(Ping(1))
    assert gone == ["gone"]
