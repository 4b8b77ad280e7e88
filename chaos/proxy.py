"""A TCP proxy between a worker and the broker, whose connections can be cut or fall silent."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from enum import Enum

from tests.servers.process import HOST

CHUNK = 65_536


class Line(Enum):
    """What the proxy does."""

    OPEN = "open"
    """Everything passes."""
    CUT = "cut"
    """Connections are reset, and new ones too."""
    SILENT = "silent"
    """Connections stay, new ones are taken, and nothing passes."""


class Proxy:
    """One port that leads to another, in a thread of its own."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._line = Line.OPEN
        self._passable = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{port}", daemon=True)

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def set_line(self, line: Line) -> None:
        """From now on, be open, cut or silent."""
        asyncio.run_coroutine_threadsafe(self._set(line), self._loop).result(10)

    async def _listen(self) -> None:
        self._passable.set()
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        self._reset()

    async def _set(self, line: Line) -> None:
        self._line = line
        if line is Line.CUT:
            self._reset()
        if line is Line.SILENT:
            self._passable.clear()
        else:
            self._passable.set()

    def _reset(self) -> None:
        for writer in self._writers:
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._line is Line.CUT:
            _reset(writer)
            return
        try:
            onward_reader, onward = await asyncio.open_connection(HOST, self._target)
        except OSError:  # the broker is away: so is what leads to it
            _reset(writer)
            return
        self._writers |= {writer, onward}
        both = [asyncio.create_task(self._pass(reader, onward)), asyncio.create_task(self._pass(onward_reader, writer))]
        self._tasks.update(both)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        self._tasks.difference_update(both)
        self._writers -= {writer, onward}
        writer.transport.abort()
        onward.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                await self._passable.wait()
                writer.write(data)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a cut does: with a reset, not a farewell."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
