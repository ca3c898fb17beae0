"""Why a task failed, in the lines that a person needs, and what to do where a host can't be entered. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

HIDDEN = "the result is hidden: this task has no_log"
LINES_OF_OUTPUT = 20


def tail(text: object) -> list[str]:
    """Keep the end of a program's output: that is where it says what went wrong."""
    lines = str(text or "").rstrip().splitlines()
    left_out = len(lines) - LINES_OF_OUTPUT
    return [f"({left_out} lines before)", *lines[left_out:]] if left_out > 0 else lines


def as_lines(value: object) -> list[str]:
    """Turn a message, which may be a list or hold line ends, into lines."""
    if isinstance(value, list | tuple):
        return [line for entry in value for line in (as_lines(entry) or [""])]
    return str(value).rstrip("\n").split("\n")


def shown_command(cmd: object) -> str:
    """Write a command as one would type it."""
    return shlex.join(str(part) for part in cmd) if isinstance(cmd, list | tuple) else str(cmd).strip()


def why_failed(result: Mapping[str, Any]) -> list[str]:
    """Pick from a failed result the lines that say why; never the result itself."""
    if "censored" in result or result.get("_ansible_no_log"):
        return [HIDDEN]
    if errors := result.get("argument_errors"):
        about = result.get("validate_args_context") or {}
        whose = f" of {about['type']} {about['name']}" if about.get("type") and about.get("name") else ""
        return [
            f"The variables{whose} are not valid:",
            *(f"- {line}" for error in errors for line in as_lines(error)),
        ]
    # Out of attempts: the last answer may have been right in itself, but for what was waited for.
    waited = int(result.get("attempts", 0))
    lines = [f"waited in vain: it was tried {waited} times"] if waited > 1 else []
    message = result.get("msg")
    if waited > 1 and str(message).startswith("OK ("):  # what the module uri says of any answer
        message = None
    ran_program = "rc" in result and ("cmd" in result or "stderr" in result or "stdout" in result)
    if message and not (ran_program and message == "non-zero return code"):
        lines += as_lines(message)
    if result.get("assertion") is not None and message == "Assertion failed":
        lines.append(f"not true: {result['assertion']}")
    if ran_program:
        if "cmd" in result:
            lines += [f"cmd: {line}" for line in as_lines(shown_command(result["cmd"]))]
        lines.append(f"rc: {result['rc']}")
    for stream in ("stdout", "stderr", "module_stdout", "module_stderr"):
        # A crashed module's own message is already about these; the rest explains itself here.
        if found := tail(result.get(stream)):
            lines += [f"{stream}:", *(f"  {line}" for line in found)]
    if result.get("failed_when_result"):
        lines.append("failed_when says that this is a failure")
    return lines or ["the module gave no reason; run again with -v for the whole result"]


# What ssh says of a host that it cannot enter, and the same with what to do about it.
NO_LOGIN = {
    r"connect to host (?P<where>\S+) port (?P<port>\d+): (?P<why>[^\r\n]+)": (
        "{host} does not answer ({where}, port {port}: {why}). See whether address and port are right, it is up and "
        "runs sshd, and no firewall stands between."
    ),
    r"Could not resolve hostname (?P<where>[^:\s]+)": (
        "{host} cannot be found: no address belongs to the name {where}. Correct it, or give an address (ansible_host)."
    ),
    r"IDENTIFICATION HAS CHANGED[\s\S]*?(?P<forget>ssh-keygen [^\r\n]+)": (
        "{host} has another host key than before, so nothing was sent to it. If the machine was made anew, type "
        " {forget}  and run this again; if not, somebody may stand between."
    ),
    r"(?P<user>\S+)@(?P<where>\S+): Permission denied \((?P<how>[^)]*)\)": (
        "{host} does not let {user} in ({how}). Correct the user, name the right key (--private-key FILE), or have "
        "yours accepted there: ssh-copy-id {user}@{where}"
    ),
    r"kex_exchange_identification|Connection (?:closed|reset) by": (
        "{host} answers, but ends the connection before the login. See whether it is sshd that listens on that port."
    ),
}

# The same of sudo.
NO_SUDO = {
    r"Incorrect sudo password": (
        "{host} refuses the password for sudo. Run this again with -K (--ask-become-pass), and type the right one."
    ),
    r"Missing sudo password": (
        "{host} asks for a password for sudo. Run this again with -K (--ask-become-pass), and type it."
    ),
    r"(?P<user>\S+) is not in the sudoers file|user (?P<other>\S+) is not allowed to execute": (
        "{host} does not let {user}{other} use sudo. Log in as root, or as a user who may."
    ),
    r"sudo: (?:command )?not found": ("{host} has no sudo. Log in as root, or install it there: apt-get install sudo"),
}


def remedy(sentences: Mapping[str, str], host: str, result: Mapping[str, Any]) -> list[str]:
    """The sentence that fits a failed result, with what to do; nothing if none does."""
    if "censored" in result or result.get("_ansible_no_log"):
        return []
    told = "\n".join(
        str(result.get(key) or "") for key in ("msg", "module_stderr", "module_stdout", "stderr", "stdout")
    )
    for pattern, sentence in sentences.items():
        if found := re.search(pattern, told):
            return [sentence.format(host=host, **{key: text or "" for key, text in found.groupdict().items()})]
    return []


def why_ignored(result: Mapping[str, Any]) -> str:
    """Say in one line why a task failed that was allowed to."""
    reasons = why_failed(result)
    if "rc" in result and reasons[0].startswith("cmd: "):
        said = tail(result.get("stderr")) or tail(result.get("stdout")) or ["no output"]
        return f"rc {result['rc']}: {said[-1]}"
    return reasons[0]
