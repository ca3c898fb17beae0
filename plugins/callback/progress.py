"""A readable run: one line a task, the reason when one fails, and a recap with the time it took.

It sits between ansible-playbook and the person who watches it. It only prints: it never changes a result,
keeps nothing on disk and starts no thread. What no_log hides stays hidden at every verbosity.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible import constants as C  # type: ignore[import-untyped]  # noqa: N812 - ansible's own name for it
from ansible import context
from ansible.executor.stats import AggregateStats  # type: ignore[import-untyped]  # ansible ships no types
from ansible.executor.task_result import CallbackTaskResult  # type: ignore[import-untyped]  # the same
from ansible.inventory.host import Host  # type: ignore[import-untyped]  # the same
from ansible.playbook import Playbook  # type: ignore[import-untyped]  # the same
from ansible.playbook.included_file import IncludedFile  # type: ignore[import-untyped]  # the same
from ansible.playbook.play import Play  # type: ignore[import-untyped]  # the same
from ansible.playbook.task import Task  # type: ignore[import-untyped]  # the same
from ansible.playbook.task_include import TaskInclude  # type: ignore[import-untyped]  # the same
from ansible.plugins.callback.default import (  # type: ignore[import-untyped]  # the same
    CallbackModule as DefaultCallback,
)
from ansible.utils.color import stringc  # type: ignore[import-untyped]  # the same
from ansible.utils.fqcn import add_internal_fqcns  # type: ignore[import-untyped]  # the same

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from failure_reasons import (
    HIDDEN,
    NO_LOGIN,
    NO_SUDO,
    as_lines,
    remedy,
    why_failed,
    why_ignored,
)

DOCUMENTATION = """
    name: progress
    type: stdout
    short_description: one line a task, times, and failures a person can read
    description:
      - Prints one line for each task with the time since the start, its role, its name and its result.
      - Prints why a task failed instead of its whole result; with C(-v) the whole result follows as YAML.
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
    options:
      display_skipped_hosts:
        description: Show a line for skipped tasks too. C(-v) shows them in any case.
        default: false
      result_format:
        default: yaml
      profile:
        description: At the end, print the slowest tasks and the time each role took.
        type: bool
        default: false
        env:
          - name: PROFILE
        ini:
          - section: callback_progress
            key: profile
    requirements:
      - set as stdout_callback in the configuration
"""

RESULT_COLUMN = 64
SLOWEST_TASKS = 15
HOSTS_NAMED = 5
LABEL_WIDTH = 60

DIM = "color245"
FAINT = "color240"
HEADING = "bright blue"
COLORS = {"changed": C.COLOR_CHANGED, "ok": DIM, "skipped": FAINT, "ignored": C.COLOR_WARN}

_VALIDATE = add_internal_fqcns(("validate_argument_spec",))
_PAUSE = add_internal_fqcns(("pause",))
_IN_ORDER = add_internal_fqcns(("linear", "debug"))

# What makes a loop item recognisable when it is a dictionary without a label of its own.
_TELLING_KEYS = ("name", "path", "dest", "key", "src", "id")


@dataclass
class Outcome:
    """How a task ended on one host, and what is printed below its line."""

    host: str
    status: str
    detail: str = ""
    extras: list[tuple[str, str | None]] = field(default_factory=list)


@dataclass
class Running:
    """A task from its start until its line is printed."""

    role: str
    name: str
    begun: float
    ended: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    items: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    diffs: dict[str, list[str]] = field(default_factory=dict)
    dumps: dict[str, list[str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name with its role in front, as Ansible writes it everywhere else."""
        return f"{self.role} : {self.name}" if self.role else self.name

    @property
    def seconds(self) -> float:
        """From the start to the latest result."""
        return max(0.0, self.ended - self.begun)


def clock(seconds: float) -> str:
    """Write a duration as 01:23, or 1:02:03 from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def item_label(item: object) -> str:
    """Name a loop item in a few words; a dictionary is named by the key people know it by."""
    if isinstance(item, Mapping):
        named = next((item[key] for key in _TELLING_KEYS if item.get(key)), None)
        item = named if named is not None else ", ".join(str(key) for key in item)
    return textwrap.shorten(" ".join(str(item).split()), LABEL_WIDTH, placeholder="...") or "''"


def slowest(tasks: Iterable[Running]) -> list[str]:
    """Make the profile: the slowest tasks, then what each role took in all."""
    finished = sorted((task for task in tasks if task.ended), key=lambda task: task.seconds, reverse=True)
    roles: dict[str, float] = {}
    for task in finished:
        roles[task.role] = roles.get(task.role, 0.0) + task.seconds
    width = max((len(role) for role in roles), default=0)
    rows = [f"{task.seconds:8.2f} s  {task.role or '-':{width}}  {task.name}" for task in finished[:SLOWEST_TASKS]]
    totals = sorted(roles.items(), key=lambda pair: pair[1], reverse=True)
    return [
        "Slowest tasks",
        *rows,
        "",
        "Total per role (- is outside any role)",
        *(f"{seconds:8.2f} s  {role or '-'}" for role, seconds in totals),
    ]


def not_for_molecule(text: str) -> str:
    """Mark lines that look like Ansible's own results but are not.

    Molecule takes any line that begins with TASK or changed, indented or not, to name what was not
    idempotent, and stops with a traceback at one without brackets. A banner or a result can hold such a line.
    """
    lines = text.split("\n")
    return "\n".join(f"| {line}" if line.lstrip().startswith(("TASK", "changed")) else line for line in lines)


class CallbackModule(DefaultCallback):  # type: ignore[misc]  # ansible ships no types, so its classes are Any
    """Print a run as it goes; the recap and the dump of results for -v are the default callback's."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "progress"

    def __init__(self) -> None:
        super().__init__()
        self._begun = time.monotonic()
        self._tty = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._for_molecule = not self._tty and "MOLECULE_SCENARIO_NAME" in os.environ
        self._on_last_line = False
        self._several_hosts = False
        self._in_order = True
        self._last_role = ""
        self._current: str | None = None
        self._tasks: dict[str, Running] = {}
        self._finished: list[Running] = []
        self._changed: list[tuple[str, str]] = []

    # All printing goes through these, so that the line which is rewritten never mixes with one that stays.

    def _erase(self) -> None:
        if self._on_last_line:
            self._display.display("\r\x1b[K", newline=False, screen_only=True)
            self._on_last_line = False

    def _flush(self) -> None:
        # Ansible leaves flushing to the system; a person who follows a build's log wants each line at once.
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()

    def _say(self, text: str, color: str | None = None, *, stderr: bool = False) -> None:
        # Twice, as the default callback does: the log gets no colour, and refuses one it has no level for.
        self._erase()
        if self._for_molecule:
            text = not_for_molecule(text)
        self._display.display(stringc(text, color) if color else text, stderr=stderr, screen_only=True)
        self._display.display(text, log_only=True)
        self._flush()

    def _show_on_last_line(self, text: str) -> None:
        if not self._tty:
            return
        width = shutil.get_terminal_size().columns - 1
        # The cursor goes back, so that a warning, which is not printed from here, covers the line.
        self._display.display(f"\r\x1b[K{text[:width]}\r", newline=False, screen_only=True)
        self._on_last_line = True
        self._flush()

    def _elapsed(self) -> str:
        return f"[{clock(time.monotonic() - self._begun)}]"

    # The life of a task.

    def _task_start(self, task: Task, prefix: str | None = None) -> None:
        self._print_waiting()
        role = task._role.get_name() if task._role else ""
        name = task.get_name().strip().removeprefix(f"{role} : ")
        known = self._tasks.get(task._uuid)
        if known is None or self._in_order:
            if known is not None:
                self._finished.append(known)
            self._tasks[task._uuid] = known = Running(role, name, time.monotonic())
        self._current = task._uuid
        # pause asks something on this very line.
        if task.action not in _PAUSE and task.action not in C._ACTION_META:
            self._show_on_last_line(f"{self._elapsed()} {known.title} ...")

    def _running(self, result: CallbackTaskResult) -> Running:
        """Find the task of a result; strategies other than linear may report one that was not announced."""
        task = result.task
        if task._uuid not in self._tasks:
            self._task_start(task)
        running = self._tasks[task._uuid]
        running.ended = time.monotonic()
        return running

    def _print_waiting(self) -> None:
        """Print the line of a task whose hosts were collected; called when the next thing begins."""
        if self._current and (running := self._tasks.get(self._current)) and running.outcomes:
            outcomes, running.outcomes = running.outcomes, []
            self._print_line(running, outcomes)
        self._current = None

    def _print_line(self, running: Running, outcomes: list[Outcome]) -> None:
        if running.role != self._last_role:
            self._last_role = running.role
            if running.role:
                self._say(running.role, HEADING)
        # What changed comes first, and hosts in an order that is the same in every run.
        outcomes.sort(key=lambda outcome: (outcome.status, outcome.host))
        words = []
        for status in dict.fromkeys(outcome.status for outcome in outcomes):
            told = [outcome for outcome in outcomes if outcome.status == status]
            words.append(self._status_words(status, told))
        duration = f"  {running.seconds:.1f} s" if running.seconds >= 1 else ""
        line = f"{self._elapsed()} {running.title}".ljust(RESULT_COLUMN)
        shown = next((o.status for o in outcomes if o.status not in ("ok", "skipped")), outcomes[0].status)
        failed = shown in ("FAILED", "UNREACHABLE")
        stderr = failed and bool(self.get_option("display_failed_stderr"))
        color = COLORS.get(shown, C.COLOR_UNREACHABLE if shown == "UNREACHABLE" else C.COLOR_ERROR)
        self._say(f"{line}  {'; '.join(words)}{duration}", color, stderr=stderr)
        for outcome in outcomes:
            for text, extra_color in outcome.extras:
                self._say(text, extra_color, stderr=stderr)

    def _status_words(self, status: str, told: list[Outcome]) -> str:
        if not self._several_hosts:
            return " ".join(filter(None, [status, told[0].detail]))
        if len(told) > HOSTS_NAMED and not any(outcome.detail for outcome in told):
            return f"{status} on {len(told)} hosts"
        return f"{status} {', '.join(' '.join(filter(None, [o.host, o.detail])) for o in told)}"

    def _finish(
        self,
        result: CallbackTaskResult,
        status: str,
        reasons: str = "",
        color: str | None = None,
        detail: str = "",
    ) -> None:
        """Print a task's line now, or when all hosts of it are through."""
        running = self._running(result)
        host = self.host_label(result)
        extras = [(reasons, color)] if reasons else []
        extras += [(diff, None) for diff in running.diffs.pop(host, [])]
        if self._display.verbosity > 1 and (path := result.task.get_path()):
            extras.append((f"    task path: {path}", C.COLOR_DEBUG))
        extras += [(dump, None) for dump in running.dumps.pop(host, [])]
        if host in running.items:
            result.result.pop("results", None)
        if dump := self._dump(result):
            extras.append((dump, None))
        if status != "FAILED" and (attempts := result.result.get("attempts", 1)) > 1:
            detail = f"{detail} (attempt {attempts})".strip()
        if status == "changed":
            self._changed.append((running.title, result.host.get_name()))
        outcome = Outcome(host, status, detail, extras)
        if self._several_hosts and self._in_order and status in ("ok", "changed", "skipped"):
            running.outcomes.append(outcome)
            self._current = result.task._uuid
        else:
            self._print_line(running, [outcome])

    def _dump(self, result: CallbackTaskResult) -> str:
        """Make the whole result as YAML when -v asks for it; the base takes out what must not be shown."""
        # Some modules (assert) ask to be dumped always; here only the person asks. Facts ask never to be.
        if not self._display.verbosity or result.result.get("_ansible_verbose_override", False):
            return ""
        return str(self._dump_results(result.result)).strip("\n")

    def _keep_item(self, result: CallbackTaskResult) -> None:
        self._erase()
        self._handle_warnings(result.result)
        if dump := self._dump(result):
            label = item_label(self._get_item_label(result.result))
            dumps = self._running(result).dumps.setdefault(self.host_label(result), [])
            dumps.append(f"    item {label}:\n{textwrap.indent(dump, '    ')}")

    def _item_counts(self, result: CallbackTaskResult) -> dict[str, int]:
        return self._running(result).items.setdefault(self.host_label(result), {"changed": 0, "all": 0})

    def _say_debug(self, result: CallbackTaskResult) -> None:
        """Print what a debug task says and nothing around it: closing banners are made with it."""
        if "censored" in result.result:
            text = HIDDEN
        elif "msg" in result.result:
            message = result.result["msg"]
            plain = not isinstance(message, Mapping) and not (
                isinstance(message, list) and any(isinstance(entry, Mapping | list) for entry in message)
            )
            text = "\n".join(as_lines(message)) if plain else self._as_yaml(message)
        else:
            self._clean_results(result.result, result.task.action)
            hide = {"exception", "warnings", "deprecations", "item", "attempts", "retries", "_ansible_no_log"}
            shown = {k: v for k, v in result.result.items() if k not in hide and not k.startswith("_ansible")}
            text = "\n".join(
                f"{key}:\n{textwrap.indent(self._as_yaml(value), '  ')}"
                if isinstance(value, Mapping | list) and value
                else f"{key}: {value}"
                for key, value in shown.items()
            )
        if self._several_hosts:
            self._say(f"{self.host_label(result)}:", DIM)
        self._say(text)

    def _as_yaml(self, value: object) -> str:
        dumped = textwrap.dedent(str(self._dump_results({"shown": value})).strip("\n"))
        return textwrap.dedent(dumped.removeprefix("shown:").strip("\n"))

    # Events.

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Start the clock."""
        self._begun = time.monotonic()
        super().v2_playbook_on_start(playbook)

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """Print the play's name, and learn whether hosts have to be named."""
        self._print_waiting()
        self._erase()
        self._play = play
        self._in_order = play.strategy in _IN_ORDER
        self._last_role = ""
        hosts = play.get_variable_manager().get_vars(play=play).get("ansible_play_hosts_all", [])
        self._several_hosts = len(hosts) > 1
        about = [f"{len(hosts)} hosts"] if self._several_hosts else []
        about += ["check mode: nothing is changed"] if play.check_mode else []
        suffix = f" ({', '.join(about)})" if about else ""
        self._say(f"\n== {play.get_name().strip()}{suffix}", HEADING)

    def v2_runner_on_start(self, host: Host, task: Task) -> None:
        """Print nothing: the task's start is announced once, not for each host."""

    def v2_playbook_on_include(self, included_file: IncludedFile) -> None:
        """Print nothing unless asked for more: what is included speaks for itself."""
        if self._display.verbosity:
            self._erase()
            super().v2_playbook_on_include(included_file)

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Print the line of a task that worked."""
        running = self._running(result)
        self._erase()
        self._handle_warnings(result.result)
        if isinstance(result.task, TaskInclude):
            return
        if result.task.action in C._ACTION_DEBUG:
            if self.host_label(result) not in running.items:
                self._say_debug(result)
            return
        changed = bool(result.result.get("changed", False))
        if not changed and (result.task.action in _VALIDATE or not self.get_option("display_ok_hosts")):
            return
        counts = running.items.get(self.host_label(result))
        detail = f"{counts['changed']} of {counts['all']}" if counts and changed else ""
        self._finish(result, "changed" if changed else "ok", detail=detail)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """Print why a task failed."""
        running = self._running(result)
        self._erase()
        self._handle_warnings(result.result)
        host = self.host_label(result)
        reasons = running.failures.pop(host, None) or remedy(NO_SUDO, host, result.result) or why_failed(result.result)
        if ignore_errors:
            reason = reasons[0] if host in running.items else why_ignored(result.result)
            self._finish(result, "ignored", f"    {reason}", C.COLOR_WARN)
            return
        # A role's arguments are checked by a task that no file holds.
        if result.task.action not in _VALIDATE and (path := result.task.get_path()):
            reasons.append(f"at {os.path.relpath(path)}")
        if self._display.verbosity > 2 and "censored" not in result.result:
            self._handle_exception(result.result, use_stderr=self.get_option("display_failed_stderr"))
        self._finish(result, "FAILED", textwrap.indent("\n".join(reasons), "    "), C.COLOR_ERROR)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        """Print which host does not answer, and what the connection said."""
        self._running(result)
        self._erase()
        self._handle_warnings(result.result)
        host = result.host.get_name()
        reasons = remedy(NO_LOGIN | NO_SUDO, host, result.result) or [
            f"{host}: {line}" for line in why_failed(result.result)
        ]
        lines = textwrap.indent("\n".join(reasons), "    ")
        detail = "(ignored)" if result.task.ignore_unreachable else ""
        self._finish(result, "UNREACHABLE", lines, C.COLOR_UNREACHABLE, detail)

    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        """Print nothing for a skipped task unless asked."""
        self._running(result)
        self._erase()
        self._handle_warnings(result.result)
        if self._display.verbosity or self.get_option("display_skipped_hosts"):
            self._finish(result, "skipped")

    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        """Count a loop item; only debug prints each."""
        counts = self._item_counts(result)
        counts["all"] += 1
        counts["changed"] += bool(result.result.get("changed", False))
        if isinstance(result.task, TaskInclude):
            return
        if result.task.action in C._ACTION_DEBUG:
            self._say_debug(result)
        else:
            self._keep_item(result)

    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        """Keep why a loop item failed until the task's line is printed."""
        self._item_counts(result)["all"] += 1
        label = item_label(self._get_item_label(result.result))
        reasons = why_failed(result.result)
        lines = [f"item {label}: {reasons[0]}", *(f"  {line}" for line in reasons[1:])]
        self._running(result).failures.setdefault(self.host_label(result), []).extend(lines)
        self._keep_item(result)

    def v2_runner_item_on_skipped(self, result: CallbackTaskResult) -> None:
        """Leave skipped items out of the count: nobody asked them to change."""

    def v2_runner_retry(self, result: CallbackTaskResult) -> None:
        """Show on the last line which attempt is next; the log gets only the final one."""
        if self._display.verbosity:
            self._erase()
            super().v2_runner_retry(result)
            return
        running = self._running(result)
        attempt, retries = result.result.get("attempts", 0), result.result.get("retries", 0)
        self._show_on_last_line(f"{self._elapsed()} {running.title} ... attempt {attempt} of {retries} failed")

    def v2_runner_on_async_poll(self, result: CallbackTaskResult) -> None:
        """Print nothing: the task's line comes when it ends."""

    def v2_runner_on_async_ok(self, result: CallbackTaskResult) -> None:
        """Print nothing, for the same reason."""

    def v2_runner_on_async_failed(self, result: CallbackTaskResult) -> None:
        """Print nothing, for the same reason."""

    def v2_on_file_diff(self, result: CallbackTaskResult) -> None:
        """Keep a diff until the line it belongs to; what is censored has none."""
        if "diff" not in result.result or not result.result.get("changed", False):
            return
        if diff := self._get_diff(result.result["diff"]):
            self._running(result).diffs.setdefault(self.host_label(result), []).append(diff.rstrip())

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Say that a play has nothing to do."""
        self._say("no hosts matched", C.COLOR_WARN)

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """Say nothing more: each failure was printed, and the recap follows."""
        self._print_waiting()
        self._erase()

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """Print the recap in Ansible's own shape, the time, and what was asked for besides."""
        self._print_waiting()
        self._erase()
        if self._changed and self._for_molecule:
            # Molecule names what was not idempotent from lines of exactly this shape.
            self._say("\nFor Molecule:")
            for title, host in self._changed:
                self._display.display(f"TASK [{title}]\nchanged: [{host}]")
        super().v2_playbook_on_stats(stats)
        dry = " (check mode)" if context.CLIARGS["check"] else ""
        self._say(f"Total {clock(time.monotonic() - self._begun)}{dry}")
        if self.get_option("profile"):
            self._say("")
            for line in slowest([*self._finished, *self._tasks.values()]):
                self._say(line)
        self._flush()
