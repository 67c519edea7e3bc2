"""One connection: a request goes out, its answer comes in, then the next.

Nothing waits here: what cannot be sent yet is sent when `send` is called again, and `receive` gives an answer when all
of it has come.
"""

from __future__ import annotations

import time

from botocore.exceptions import BotoCoreError, ConnectionClosedError, HTTPClientError, ResponseStreamingError

from migrator.target.answer import NOT_HTTP, Answer, AnswerReader
from migrator.target.connecting import WOULD_WAIT, Socket

_READ_BYTES = 64 * 1024
# A body that is larger is not copied behind its head.
_JOINED_BYTES = 64 * 1024
# Whoever was idle for so long may have lost the server meanwhile.
_STALE_S = 1.0


class Connection:
    """Raises what botocore would."""

    def __init__(self, sock: Socket, url: str) -> None:
        self._socket = sock
        self._url = url
        self._reader = AnswerReader()
        self._unsent: list[bytes | memoryview] = []
        self._lost: OSError | None = None
        self._idle_since = time.monotonic()
        self.is_reusable = True  #: whether another request may follow the last answer

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def begin(self, head: bytes, body: bytes) -> bool:
        """Send as much of a request as goes; whether that was all."""
        self._unsent = [head + body] if len(body) <= _JOINED_BYTES else [head, body]
        return self.send()

    def send(self) -> bool:
        """Send more of the request; whether nothing is left to send."""
        unsent = self._unsent
        try:
            while unsent:
                # TLS has to be given the same bytes again where it could not send them.
                sent = self._socket.send(unsent[0])
                if sent == len(unsent[0]):
                    del unsent[0]
                else:
                    unsent[0] = memoryview(unsent[0])[sent:]
        except WOULD_WAIT:
            return False
        except OSError as error:
            # The server may have answered before it hung up.
            self._lost = error
            unsent.clear()
        return True

    def receive(self) -> Answer | None:
        """The answer, where all of it has come."""
        reader = self._reader
        try:
            while reader.answer is None:
                if data := self._socket.recv(_READ_BYTES):
                    reader.feed(data)
                    continue
                reader.end()
                if reader.answer is None:
                    raise self._cut_off()
        except WOULD_WAIT:
            return None
        except OSError as error:
            raise self._closed(self._lost or error) from error
        except NOT_HTTP as error:
            raise HTTPClientError(error=error) from error
        answer = reader.answer
        self.is_reusable = not (reader.ends_connection or self._unsent or self._lost)
        self._idle_since = time.monotonic()
        reader.expect()
        return answer

    def is_gone(self) -> bool:
        """Whether the server closed the connection, or sent what nobody had asked for, while it was idle."""
        try:
            self._socket.recv(1)
        except WOULD_WAIT:
            return False
        except OSError:
            return True
        return True

    def is_stale(self) -> bool:
        """The same, looked at only where it is likely."""
        return time.monotonic() - self._idle_since > _STALE_S and self.is_gone()

    def _cut_off(self) -> BotoCoreError:
        if self._reader.has_begun:
            return ResponseStreamingError(error="the connection was closed within the answer")
        return self._closed(self._lost or ConnectionError("no answer"))

    def _closed(self, error: OSError) -> ConnectionClosedError:
        return ConnectionClosedError(endpoint_url=self._url, error=str(error))
