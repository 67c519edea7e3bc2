"""Connections in the making: each takes a while, so each is made in a thread of its own."""

from __future__ import annotations

import socket
from collections import deque
from threading import BoundedSemaphore, Thread
from typing import Generic, TypeVar

from migrator.target.connecting import Socket, connect
from migrator.target.endpoint import Endpoint

_AT_ONCE = 16

T = TypeVar("T")


class Connector(Generic[T]):
    """What each connection is for is handed back with it. It is readable, as a socket is, when some are made."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._made: deque[tuple[T, Socket | Exception]] = deque()
        self._at_once = BoundedSemaphore(_AT_ONCE)
        self._bell, self._rope = socket.socketpair()

    def fileno(self) -> int:
        return self._bell.fileno()

    def close(self) -> None:
        self._bell.close()
        self._rope.close()

    def start(self, purpose: T) -> None:
        Thread(target=self._connect, args=(purpose,), daemon=True).start()

    def take(self) -> list[tuple[T, Socket | Exception]]:
        """What was made since the last time, or why it was not."""
        count = len(self._bell.recv(4_096))
        return [self._made.popleft() for _ in range(count)]

    def _connect(self, purpose: T) -> None:
        made: Socket | Exception
        try:
            with self._at_once:
                made = connect(self._endpoint)
        except Exception as error:  # who takes it raises it, or gives it as a reply
            made = error
        self._made.append((purpose, made))
        try:
            self._rope.send(b"\0")
        except OSError:  # closed meanwhile
            if not isinstance(made, Exception):
                made.close()
