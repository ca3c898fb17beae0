"""Tells others of a change: runs a command, posts to a webhook; in a thread, once, for a bounded time."""

import json
import logging
import queue
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Sequence
from typing import Any

from graphing.watchdog.alarms import Alarm

_COMMAND_SECONDS = 30.0
_WEBHOOK_SECONDS = 10.0
_WAITING = 100

_log = logging.getLogger(__name__)


def message(alarm: Alarm, host: str) -> dict[str, Any]:
    """Return what is told of a change; `text` is a sentence, as chat services want it."""
    text = f"{host}: {alarm.check} is {'bad' if alarm.on else 'well again'}: {alarm.what}"
    return {
        "text": f"{text} -> {alarm.remedy}" if alarm.on and alarm.remedy else text,
        "host": host,
        "check": alarm.check,
        "alarm": "on" if alarm.on else "off",
        "state": str(alarm.state),
        "what": alarm.what,
        "remedy": alarm.remedy,
        "when": alarm.since,
    }


class Notifier:
    """The thread, and the changes that wait for it. Never delays who tells it something."""

    def __init__(self, command: Sequence[str], webhook: str) -> None:
        self._targets = [
            *([_Target("the command", lambda text: _run(command, text))] if command else []),
            *([_Target("the webhook", lambda text: _post(webhook, text))] if webhook else []),
        ]
        self._waiting: queue.Queue[str] = queue.Queue(_WAITING)
        self._host = socket.gethostname()
        if self._targets:
            threading.Thread(target=self._work, name="notifier", daemon=True).start()

    def tell(self, alarm: Alarm) -> None:
        """Let a change be told; it is dropped, and logged, if a hundred wait already."""
        if not self._targets:
            return
        try:
            self._waiting.put_nowait(json.dumps(message(alarm, self._host)))
        except queue.Full:
            _log.error("nobody is told that %s changed: %d changes wait already", alarm.check, _WAITING)

    def _work(self) -> None:
        while True:
            text = self._waiting.get()
            for target in self._targets:
                target.tell(text)


class _Target:
    """Somebody to tell, and whether that failed the last time."""

    def __init__(self, name: str, tell: Any) -> None:
        self._name = name
        self._tell = tell
        self._failed = False

    def tell(self, text: str) -> None:
        try:
            self._tell(text)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            if not self._failed:
                _log.error("%s fails; further failures are not logged until it works: %s", self._name, error)
            self._failed = True
        else:
            self._failed = False


def _run(command: Sequence[str], text: str) -> None:
    """Run a command with the message on its standard input; what it prints goes to our log."""
    subprocess.run(command, input=text + "\n", text=True, timeout=_COMMAND_SECONDS, check=True)


def _post(url: str, text: str) -> None:
    request = urllib.request.Request(url, text.encode(), {"Content-Type": "application/json"})  # noqa: S310 - settings take http and https alone
    with urllib.request.urlopen(request, timeout=_WEBHOOK_SECONDS) as answer:  # noqa: S310 - as above
        answer.read(1024)
