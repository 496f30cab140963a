"""Frames decoded and joined inside FFmpeg, so that several recordings can be decoded at the same time.

PyAV releases and takes Python's lock for each packet: 2,300 times for 30 s of MP3. Two threads that do so mostly wait
for each other. FFmpeg's own filters (``amovie``, ``asetnsamples``) read, decode and join without the lock, in a dozen
calls a clip. The samples are the same to the bit, but the filters stop at the first fault in a file.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph

from tonearm.decoding.section import Section
from tonearm.workarounds import free_graph

_FRAME_SAMPLES = 2**18
"""Of all channels together: 3 s of a CD's sound."""


class GraphError(Exception):
    """The rest has to be decoded packet by packet. Frames that came before this are right."""


def joined_frames(file: BinaryIO | Section, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """All frames of ``stream`` of ``container``, which was opened from ``file``; all three stay as they are.

    Raises:
        GraphError: where a packet cannot be decoded, where format, rate or channels change, or where the operating
            system cannot open the file a second time.
        MemoryError: where FFmpeg runs out of memory.
    """
    with _descriptor(file) as descriptor:
        # By no other protocol: as elsewhere, a recording may not open other files.
        options = {**container.container_options, "fd": str(descriptor), "protocol_whitelist": "fd,subfile"}
        name = "fd:"
        if isinstance(file, Section) and file.part is not None:
            name = "subfile,,start,{},end,{},,:fd:".format(*file.part[1:])
        samples = max(1, _FRAME_SAMPLES // max(1, stream.codec_context.channels))
        graph = Graph()
        graph.threads = 1
        begun = False
        try:
            source = graph.add(
                "amovie",
                filename=name,
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
        except av.error.MemoryError:  # packet by packet it would be no better
            raise MemoryError("FFmpeg ran out of memory") from None
        except av.error.EOFError as error:
            if not begun:
                raise GraphError from error
        except (av.error.FFmpegError, ValueError) as error:
            raise GraphError from error
        finally:
            free_graph(graph)


@contextmanager
def _descriptor(file: BinaryIO | Section) -> Iterator[int]:
    """A descriptor of ``file``'s content, with a position of its own. Raises GraphError where the system has none."""
    try:
        if isinstance(file, Section):
            if file.part is None:
                raise GraphError
            file = file.part[0]
        if type(file) is io.BytesIO:
            descriptor = os.memfd_create("recording")
        else:
            descriptor = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
    except (OSError, AttributeError) as error:
        raise GraphError from error
    try:
        if type(file) is io.BytesIO:
            with open(descriptor, "wb", closefd=False) as copy:
                copy.write(file.getbuffer())
            os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
