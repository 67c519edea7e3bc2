"""The process behind `--local` and `migrator local`: moto's DynamoDB on 127.0.0.1, and nothing else of moto.

Only signed DynamoDB requests reach moto: no other service, no `/moto-api` (which resets everything), no page of a
browser (a signed request from another origin asks first, and is refused; so is a foreign Host). The tables are put
back before the port opens and saved after the last request.

`python -m migrator.target.embedded_server STATE_DIR` is the server of one or more commands. It lives as long as one
of them holds a shared lock on `users.lock` (the kernel lets go of it however a command dies), SIGTERM ends it early.
It says one line of JSON when it can be used and another when it begins to stop.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from migrator.target import embedded_files as files
from migrator.target import embedded_store as store
from migrator.target.embedded_answers import QUICK_ANSWERS
from migrator.target.embedded_reads import Writes, quick_reads

#: "Signature Version 4": AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request
DYNAMODB_SCOPE = re.compile(r"Credential=[^/\s]+/\d+/[^/\s]+/dynamodb/aws4_request")
HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?", re.IGNORECASE)
READS = re.compile(r"(Get|BatchGet|TransactGet|Describe|List|Scan|Query)")
DRAIN_S = 30.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class LocalApplication:
    """The WSGI application in front of moto: lets DynamoDB through, answers the probe, knows what is under way."""

    def __init__(self, moto: Callable[..., Iterable[bytes]], token: str, writes: Writes) -> None:
        self._moto = moto
        self._token = token
        self._writes = writes
        self._idle = threading.Condition()
        self._under_way = 0
        self.changed = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == files.PROBE_PATH:
            return _answer(start_response, "200 OK", {"token": self._token})
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if not self._is_dynamodb(environ, target):
            return _answer(start_response, "403 Forbidden", {"message": "this is migrator's embedded DynamoDB only"})
        with self._counted():
            if READS.match(target.partition(".")[2]):
                return list(self._moto(environ, start_response))
            with self._writes.under_way():
                self.changed = True
                return list(self._moto(environ, start_response))

    def drain(self) -> None:
        """Wait for the requests under way, so that no half of a batch is saved."""
        with self._idle:
            self._idle.wait_for(lambda: self._under_way == 0, timeout=DRAIN_S)

    @staticmethod
    def _is_dynamodb(environ: WSGIEnvironment, target: str) -> bool:
        return (
            environ.get("PATH_INFO") == "/"
            and HOST.fullmatch(environ.get("HTTP_HOST", "")) is not None
            and target.startswith("DynamoDB")
            and DYNAMODB_SCOPE.search(environ.get("HTTP_AUTHORIZATION", "")) is not None
        )

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._under_way += 1
        try:
            yield
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()


class QuietRequestHandler(MotoRequestHandler):
    """No line a request, and answers that leave at once."""

    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def run(
    port: int,
    folder: Path | None,
    registry: Iterable[Path],
    stop: threading.Event,
    on_ready: Callable[[str], None],
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until `stop` is set. OSError: the port is taken or the folder not writable; BlockingIOError: in use."""
    with ExitStack() as cleanup:
        if folder is not None:
            cleanup.enter_context(files.locked(folder / files.STORE_LOCK, timeout_s=files.START_S))
            store.restore(folder / files.TABLES)
        token = files.new_token()
        writes = Writes()
        for owner, methods in ((Table, quick_reads(writes)), (BaseJSONSerializer, QUICK_ANSWERS)):
            for name, method in methods.items():
                cleanup.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, method)
        application = LocalApplication(DomainDispatcherApplication(create_backend_app), token, writes)
        server = _bind(port, application)
        cleanup.callback(server.server_close)
        place = files.Place(f"http://127.0.0.1:{server.server_port}", os.getpid(), token)
        for path in registry:
            files.register(path, place)
            cleanup.callback(files.unregister, path, place)
        _serve(server, stop, lambda: on_ready(place.url))
        on_stop()
        application.drain()
        if folder is not None and application.changed:
            store.save(folder / files.TABLES)


def _bind(port: int, application: LocalApplication) -> BaseWSGIServer:
    try:
        return make_server("127.0.0.1", port, application, threaded=True, request_handler=QuietRequestHandler)
    except SystemExit as error:  # werkzeug prints advice for `flask run` and exits when the port is taken
        raise files.PortTakenError(port) from error


def _serve(server: BaseWSGIServer, stop: threading.Event, on_ready: Callable[[], None]) -> None:
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        on_ready()
        stop.wait()
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, as long as the context lasts."""
    stop = threading.Event()

    def set_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, set_stop) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _answer(start_response: StartResponse, status: str, body: dict[str, Any]) -> list[bytes]:
    content = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def _stop_when_unused(folder: Path, stop: threading.Event) -> None:
    # Kept until this process ends: whoever comes while the tables are being saved waits for its shared lock.
    files.lock_exclusively(folder / files.USERS_LOCK)
    stop.set()


def _say(**line: str) -> None:
    try:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the command that started this server is gone, another one still uses it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (so that the interpreter's last flush does not fail)


def main(state_dir: str) -> int:
    """Be the server of the commands that use one state folder."""
    folder = files.folder_of(Path(state_dir))
    with stopping_on_signals() as stop:
        threading.Thread(target=_stop_when_unused, args=(folder, stop), daemon=True).start()
        try:
            run(
                port=0,
                folder=folder,
                registry=[folder / files.SERVER],
                stop=stop,
                on_ready=lambda url: _say(url=url),
                on_stop=lambda: _say(stopping="yes"),
            )
        except (store.DamagedStoreError, OSError) as error:
            _say(error=str(error))
            return 1
    return 0


if __name__ == "__main__":
    exit_code = main(sys.argv[1])
    sys.stdout.flush()
    # All is saved; taking a hundred thousand of moto's objects apart would keep the command waiting for seconds.
    os._exit(exit_code)
