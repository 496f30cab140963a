"""Decoded frames joined to large ones inside FFmpeg, so that recordings are decoded side by side.

PyAV hands out packets, and gives Python's lock away and takes it back for each of them: 2,300 times for 30 s of MP3.
Two threads that do so wait for each other so much that both together decode hardly more than one. FFmpeg's own
filters (``amovie``, ``asetnsamples``) read, decode and join without it, a dozen times a clip. What they give is the
same to the bit, but they end at the first thing that is wrong with a file.
"""

import gc
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO

import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph

_FRAME_SAMPLES = 2**18
"""Of all channels together: 3 s of a CD's sound."""


class UnjoinableError(Exception):
    """The rest has to be decoded packet by packet. Frames that came before this are right."""


def joined_frames(
    file: BinaryIO, container: InputContainer, stream: AudioStream, demuxer_options: Mapping[str, str]
) -> Iterator[AudioFrame]:
    """All frames of ``stream``, which is of ``container``, opened from ``file``; both stay as they are.

    Raises UnjoinableError where a packet or its decoder fails, format, rate or channels change, or where the operating
    system has no second way into the file.
    """
    with _descriptor(file) as descriptor:
        # By no other protocol: as elsewhere, a recording may not open other files.
        options = {**demuxer_options, "fd": str(descriptor), "protocol_whitelist": "fd"}
        samples = max(1, _FRAME_SAMPLES // max(1, stream.codec_context.channels))
        graph = Graph()
        graph.threads = 1
        begun = False
        try:
            source = graph.add(
                "amovie",
                filename="fd:",
                format_name=container.format.name.partition(",")[0],
                format_opts=":".join(f"{name}={value}" for name, value in options.items()),
                stream_index=str(stream.index),
                dec_threads="1",
            )
            graph.link_nodes(source, graph.add("asetnsamples", n=str(samples), p="0"), graph.add("abuffersink"))
            graph.configure()
            del source
            while True:
                frame = graph.pull()
                if isinstance(frame, AudioFrame):
                    begun = True
                    yield frame
        except av.error.EOFError as error:
            if not begun:
                raise UnjoinableError from error
        except (av.error.FFmpegError, ValueError) as error:
            raise UnjoinableError from error
        finally:
            _free(graph)


def _free(graph: Graph) -> None:
    """Let go of the file and the decoder: PyAV's graph and filters hold each other until Python looks for circles."""
    for held in gc.get_referents(graph):
        if isinstance(held, dict):
            held.clear()


@contextmanager
def _descriptor(file: BinaryIO) -> Iterator[int]:
    """A file descriptor of ``file``'s content with a position of its own, at its start. Raises UnjoinableError."""
    descriptor = None
    with suppress(OSError, AttributeError):  # not every system has these
        if type(file) is io.BytesIO:
            descriptor = os.memfd_create("recording")
        else:
            descriptor = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
    if descriptor is None:
        raise UnjoinableError
    try:
        if type(file) is io.BytesIO:
            with open(descriptor, "wb", closefd=False) as copy:
                copy.write(file.getbuffer())
            os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
