"""What a person sees of a run: real playbooks on this host, printed by the callback."""

from __future__ import annotations

import http.server
import os
import pty
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from molecule.command.idempotence import Idempotence

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
RECAP = re.compile(
    r"^localhost +: ok=\d+ +changed=\d+ +unreachable=0 +failed=0 +skipped=\d+ +rescued=0 +ignored=1 *$", re.M
)

Play = Callable[..., str]


def environment(**more: str) -> dict[str, str]:
    # What the caller's shell or a surrounding molecule set must not decide what these tests see.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "MOLECULE_", "PROFILE"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


def make_project(path: Path) -> Path:
    (path / "ansible.cfg").write_text(
        f"""[defaults]
callback_plugins = {ROOT}/plugins/callback
stdout_callback = progress
inventory = hosts
interpreter_python = {sys.executable}
"""
    )
    (path / "hosts").write_text("localhost ansible_connection=local\n")
    return path


def write_playbook(project: Path, tasks: str, head: str = "") -> None:
    text = f"- name: The play\n  hosts: all\n  gather_facts: false\n{head}  tasks:\n"
    (project / "play.yml").write_text(text + textwrap.indent(tasks.strip(), "    ") + "\n")


def run(project: Path, *arguments: str, **env: str) -> str:
    ran = subprocess.run(
        [PLAYBOOK, "play.yml", *arguments],
        cwd=project,
        env=environment(**env),
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout + ran.stderr


def role(project: Path, name: str, tasks: str, specs: str = "") -> None:
    for file, text in {"tasks/main.yml": tasks, "meta/argument_specs.yml": specs}.items():
        (project / "roles" / name / file).parent.mkdir(parents=True)
        (project / "roles" / name / file).write_text(text)


def line_of(output: str, words: str) -> str:
    return next(line for line in output.split("\n") if words in line)


def below(output: str, name: str) -> str:
    """Return what stands below a task's line, down to the next one."""
    found = re.search(rf"^\[\d\d:\d\d\] {name} .*\n((?:(?!\[\d\d:).*\n)*)", output, re.M)
    assert found
    return textwrap.dedent(found[1])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture
def play(project: Path) -> Play:
    def write_and_run(tasks: str, *arguments: str, head: str = "", **env: str) -> str:
        write_playbook(project, tasks, head)
        return run(project, *arguments, **env)

    return write_and_run


SPECS = "argument_specs: {main: {options: {carbon_port: {type: int}}}}\n"

WORKS = """
- {name: Same, ansible.builtin.command: "true", changed_when: false}
- {name: Wait, ansible.builtin.command: sleep 2}
- {name: Left out, ansible.builtin.ping: , when: false}
- {name: The include, ansible.builtin.include_tasks: more.yml}
- {name: The import, ansible.builtin.import_tasks: more.yml}
- {name: The meta, ansible.builtin.meta: flush_handlers}
- name: Items
  ansible.builtin.set_fact: {x: 1}
  changed_when: item > 1
  when: item < 4
  loop: [1, 2, 3, 4]
- {name: Try, ansible.builtin.shell: echo a; echo b >&2; exit 4, ignore_errors: true}
- name: Again
  ansible.builtin.shell: echo x >> count; test $(wc -l < count) = 2
  args: {chdir: "{{ playbook_dir }}"}
  register: again
  until: again is success
  delay: 0
  retries: 3
- {name: Tell, ansible.builtin.command: "true", notify: Restart it}
"""


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One run in which everything works, with the profile and a log file."""
    project = make_project(tmp_path_factory.mktemp("worked"))
    role(
        project,
        "carbon",
        "- {name: Write it, ansible.builtin.command: 'true'}\n",
        SPECS,
    )
    (project / "more.yml").write_text("- {name: Inner, ansible.builtin.set_fact: {y: 1}}\n")
    head = "  roles: [carbon]\n  handlers: [{name: Restart it, ansible.builtin.command: 'true'}]\n"
    write_playbook(project, WORKS, head)
    return run(project, PROFILE="1")


def test_a_task_is_one_line_with_time_role_name_and_result(worked: str) -> None:
    start = r"^\n== The play\ncarbon\n\[\d\d:\d\d\] carbon : Write it +changed.*\n\[\d\d:\d\d\] Same +ok\b"
    assert re.search(start, worked)


def test_the_recap_has_ansibles_shape_and_the_time(worked: str) -> None:
    assert RECAP.search(worked)
    assert re.search(r"^Total 00:\d\d$", worked, re.M)


def test_skipped_included_and_meta_tasks_leave_no_line(worked: str) -> None:
    lines = "\n".join(re.findall(r"^\[.*", worked, re.M))
    assert lines.count("Inner") == 2
    assert not re.search("Left out|The include|The import|The meta", lines)
    assert "included" not in worked


def test_right_variables_of_a_role_leave_no_line(worked: str) -> None:
    assert not re.search(r"^\[.*Validating", worked, re.M)


def test_a_long_task_shows_its_own_time(worked: str) -> None:
    assert re.search(r"^\[.*Wait +changed  \d\.\d s$", worked, re.M)


def test_a_loop_is_one_line_with_the_count_of_what_changed(worked: str) -> None:
    assert re.findall(r"^\[.* Items +(.*?)(?:  .*)?$", worked, re.M) == ["changed 2 of 3"]


def test_handlers_are_shown_like_tasks(worked: str) -> None:
    assert re.search(r"^\[.* Restart it +changed", worked, re.M)


def test_an_ignored_failure_is_one_reason(worked: str) -> None:
    assert "ignored" in line_of(worked, "Try")
    assert below(worked, "Try") == "rc 4: b\n"


def test_a_retried_task_says_how_many_attempts_it_took(worked: str) -> None:
    assert "changed (attempt 2)" in line_of(worked, "Again")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server that answers whatever is asked with two bytes."""

    class Two(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Two) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_wait_in_vain_says_so_and_not_that_all_is_well(play: Play, web: str) -> None:
    waits = f"""
- name: Ask
  ansible.builtin.uri: {{url: "{web}", return_content: true}}
  register: answer
  until: answer.json | length > 0
  retries: 2
  delay: 0
"""
    output = play(waits)
    assert re.search(r"Ask +FAILED *(\d.*)?$", output, re.M), output
    assert "    waited in vain: it was tried 2 times\n    at play.yml:" in output


def test_a_wait_in_vain_gives_the_last_reason_that_there_was(play: Play) -> None:
    output = play("- {name: Try, ansible.builtin.command: sh -c 'echo no >&2; exit 3', retries: 2, delay: 0}")
    assert "    waited in vain: it was tried 2 times\n    cmd: sh -c" in output
    assert "    stderr:\n      no\n" in output


def test_the_profile_names_the_slowest_tasks_and_the_time_of_each_role(worked: str) -> None:
    slowest = re.search(r"^Slowest tasks\n((?: +\d+\.\d\d s  .*\n)+)", worked, re.M)
    assert slowest
    seconds = [float(line.split()[0]) for line in slowest[1].splitlines()]
    assert seconds == sorted(seconds, reverse=True)
    assert re.search(r"^ +\d+\.\d\d s  -       Wait$", slowest[1], re.M)
    assert re.search(r"^Total per role.*\n +\d+\.\d\d s  -\n +\d+\.\d\d s  carbon\n", worked, re.M)


FAILURES = {
    "Command": 'ansible.builtin.shell: "seq 101 130; echo oops >&2; exit 3"',
    "Module": "ansible.builtin.file: {path: /nonexistent/x, state: file}",
    "Assert": "ansible.builtin.assert: {that: 1 == 2, fail_msg: Set carbon_port.}",
    "Bare assert": "ansible.builtin.assert: {that: 1 == 2}",
    "Loop": """ansible.builtin.fail: {msg: "no {{ item.name }}"}
    when: item.bad
    loop: [{name: one, bad: true}, {name: two, bad: false}, {name: three, bad: true}]""",
    "Role": "ansible.builtin.include_role: {name: carbon}\n    vars: {carbon_a: x}",
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One run in which everything fails, each task within a block that carries on."""
    project = make_project(tmp_path_factory.mktemp("failed"))
    specs = "argument_specs: {main: {options: {carbon_a: {type: int}, carbon_b: {required: true}}}}\n"
    role(project, "carbon", "- ansible.builtin.ping:\n", specs)
    on = "  rescue:\n  - {name: Go on, ansible.builtin.set_fact: {x: 1}}\n"
    write_playbook(project, "".join(f"- block:\n  - name: {n}\n    {t}\n{on}" for n, t in FAILURES.items()))
    return run(project)


def test_a_failed_command_shows_itself_its_status_and_the_end_of_its_output(failed: str) -> None:
    numbers = "".join(f"  {n}\n" for n in range(111, 131))
    assert below(failed, "Command") == (
        "cmd: seq 101 130; echo oops >&2; exit 3\nrc: 3\n"
        f"stdout:\n  (10 lines before)\n{numbers}stderr:\n  oops\nat play.yml:6\n"
    )


def test_a_failed_module_shows_its_message(failed: str) -> None:
    assert below(failed, "Module").startswith("file (/nonexistent/x) is absent, cannot continue\nat play.yml:")


def test_a_failed_assert_shows_its_fail_msg(failed: str) -> None:
    assert below(failed, "Assert").startswith("Set carbon_port.\nat play.yml:")


def test_a_failed_assert_without_a_message_shows_what_is_not_true(failed: str) -> None:
    assert "not true: 1 == 2\n" in below(failed, "Bare assert")


def test_each_failed_item_says_why(failed: str) -> None:
    assert below(failed, "Loop").startswith("item one: no one\nitem three: no three\nat play.yml:")


def test_wrong_variables_of_a_role_are_listed_one_a_line(failed: str) -> None:
    shown = below(failed, "carbon : Validating.*").split("\n")
    assert shown[0] == "The variables of role carbon are not valid:"
    assert "- missing required arguments: carbon_b" in shown
    assert any(line.startswith("- argument 'carbon_a' is of type str") for line in shown)


def test_no_failure_is_a_dump(failed: str) -> None:
    assert len(re.findall(r"^\[.*FAILED", failed, re.M)) == len(FAILURES)
    assert not re.search(r'": |=> \{|invocation|changed: ', failed)


def test_skipped_tasks_are_shown_when_asked_for(play: Play) -> None:
    tasks = "- {name: Left out, ansible.builtin.ping: , when: false}"
    assert "skipped" in line_of(play(tasks, ANSIBLE_DISPLAY_SKIPPED_HOSTS="1"), "Left out")


SECRETS = """
- {name: Fails, ansible.builtin.shell: "echo hunter2; exit 1", no_log: true, ignore_errors: true}
- name: Loops
  ansible.builtin.shell: "echo {{ item }}; exit 1"
  loop: [hunter2]
  no_log: true
  ignore_errors: true
- {name: Says, ansible.builtin.debug: {msg: hunter2}, no_log: true}
- {name: Writes, ansible.builtin.copy: {content: hunter2, dest: "{{ playbook_dir }}/out"}, no_log: true}
- name: Writes each
  ansible.builtin.copy: {content: hunter2, dest: "{{ playbook_dir }}/{{ item }}"}
  loop: [hunter2]
  no_log: true
- {name: Breaks, ansible.builtin.command: "{{ nosuch['hunter2'] }}", no_log: true, ignore_errors: true}
- {name: Hidden by template, ansible.builtin.shell: "echo hunter2; exit 1", no_log: "{{ 1 == 1 }}"}
"""


@pytest.mark.parametrize("arguments", [(), ("--diff",), ("-v", "--diff")])
def test_what_no_log_hides_is_never_printed(play: Play, arguments: tuple[str, ...]) -> None:
    output = play(SECRETS, *arguments)
    assert "Hidden by template" in output  # it came to the last one
    assert "hunter2" not in output
    for name in ("Fails", "Loops", "Breaks", "Hidden by template"):
        assert "the result is hidden: this task has no_log" in below(output, name)


def test_a_diff_is_shown_below_its_task(play: Play) -> None:
    output = play('- {name: Put, ansible.builtin.copy: {content: "new\\n", dest: "{{ playbook_dir }}/f"}}', "--diff")
    assert re.search(r"Put +changed.*\n--- before\n\+\+\+ after: .*\n@@ .*\n\+new\n", output)


def test_a_diff_of_a_loop_is_shown_for_each_item_that_changed(play: Play) -> None:
    tasks = """
- name: Put
  ansible.builtin.copy: {content: "{{ item }}!\\n", dest: "{{ playbook_dir }}/{{ item }}"}
  loop: [a, b]
"""
    output = play(tasks, "--diff")
    assert output.index("changed 2 of 2") < output.index("+a!") < output.index("+b!")


def test_verbose_shows_results_as_yaml(play: Play) -> None:
    output = play("- {name: Say, ansible.builtin.command: echo hello}", "-v")
    assert re.search(r"Say +changed.*\n    changed: true\n    cmd:\n    - echo\n", output)
    assert "stdout: hello" in output


def test_verbose_shows_each_item_once(play: Play) -> None:
    output = play("- {name: Say, ansible.builtin.command: 'echo {{ item }}', loop: [a, b]}", "-v")
    assert output.count("stdout: a") == output.count("stdout: b") == 1
    assert "    item b:\n" in output


def test_debug_prints_its_message_and_nothing_else(play: Play) -> None:
    tasks = """
- ansible.builtin.debug: {msg: ["Ready:", "  https://host/", "", "Next"]}
- ansible.builtin.debug: {msg: "one\\ntwo\\n"}
- ansible.builtin.debug: {msg: "item {{ item }}"}
  loop: [a, b]
- ansible.builtin.debug: {var: thing}
  vars: {thing: {a: [1, 2]}}
- ansible.builtin.debug: {var: plain}
  vars: {plain: text}
- ansible.builtin.debug: {msg: quiet, verbosity: 1}
"""
    said = "Ready:\n  https://host/\n\nNext\none\ntwo\nitem a\nitem b\nthing:\n  a:\n  - 1\n  - 2\nplain: text\n"
    assert f"== The play\n{said}\nPLAY RECAP" in play(tasks)


def test_hosts_are_named_if_there_are_several(project: Path, play: Play) -> None:
    (project / "hosts").write_text("[all]\na\nb\nc\n[all:vars]\nansible_connection=local\n")
    tasks = """
- {name: One changes, ansible.builtin.command: "true", changed_when: inventory_hostname == 'a'}
- {name: One fails, ansible.builtin.fail: {msg: no}, when: inventory_hostname == 'b'}
- ansible.builtin.debug: {msg: "I am {{ inventory_hostname }}"}
"""
    output = play(tasks)
    assert "== The play (3 hosts)\n" in output
    assert "  changed a; ok b, c" in line_of(output, "One changes")
    assert output.count("One changes") == 1
    assert line_of(output, "One fails").endswith("FAILED b")
    assert "a:\nI am a\nc:\nI am c\n" in output


@pytest.mark.parametrize("strategy", ["free", "linear", "host_pinned"])
def test_no_result_is_lost_whatever_the_strategy(project: Path, play: Play, strategy: str) -> None:
    (project / "hosts").write_text("[all]\na\nb\n[all:vars]\nansible_connection=local\n")
    output = play("- {name: Run, ansible.builtin.command: 'true'}", head=f"  strategy: {strategy}\n")
    named = " ".join(re.findall(r"Run +changed ([ab, ]+?)(?:  |$)", output, re.M)).replace(",", "").split()
    assert sorted(named) == ["a", "b"]


def test_an_unreachable_host_is_named_with_the_reason(project: Path, play: Play) -> None:
    (project / "hosts").write_text("far ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\n")
    output = play("- {name: Reach, ansible.builtin.ping: }")
    why = r"    far does not answer \(127\.0\.0\.1, port 1: Connection refused\)\. See whether address and port "
    assert re.search(rf"Reach +UNREACHABLE\n{why}", output)


def test_a_task_that_cannot_reach_something_else_keeps_its_own_words(play: Play) -> None:
    output = play(
        "- {name: Copy, ansible.builtin.shell: 'echo ssh: connect to host b port 22: Connection refused >&2; exit 255'}"
    )
    assert "ssh: connect to host b port 22: Connection refused" in below(output, "Copy")
    assert "does not answer" not in output


def test_warnings_of_a_task_are_shown(project: Path, play: Play) -> None:
    (project / "library").mkdir()
    (project / "library" / "odd.py").write_text(
        "from ansible.module_utils.basic import AnsibleModule\n"
        "module = AnsibleModule({})\nmodule.warn('this is odd')\nmodule.exit_json()\n"
    )
    assert "[WARNING]: this is odd" in play("- {name: Odd, odd: }")


def test_check_mode_says_so(play: Play) -> None:
    output = play("- ansible.builtin.ping:", "--check")
    assert "check mode: nothing is changed" in output
    assert "(check mode)" in line_of(output, "Total")


@pytest.mark.parametrize("argument", ["--list-tasks", "--syntax-check"])
def test_a_playbook_can_be_listed_and_checked(play: Play, argument: str) -> None:
    output = play("- {name: Never run, ansible.builtin.command: 'true'}", argument)
    assert "playbook: play.yml" in output
    assert "RECAP" not in output


def test_the_profile_can_be_asked_for_in_the_configuration(project: Path, play: Play) -> None:
    assert "Slowest" not in play("- ansible.builtin.ping:")
    with (project / "ansible.cfg").open("a") as config:
        config.write("[callback_progress]\nprofile = true\n")
    assert "Slowest" in play("- ansible.builtin.ping:")


def molecule_says(output: str) -> tuple[bool, list[str]]:
    # The parser itself uses nothing of the command it is a method of.
    parser = object.__new__(Idempotence)
    return parser._is_idempotent(output), parser._non_idempotent_tasks(output)


@pytest.mark.parametrize("color", ["0", "1"])
def test_molecule_names_what_was_not_idempotent(project: Path, play: Play, color: str) -> None:
    role(project, "carbon", "- {name: 'Write [it]', ansible.builtin.command: 'true'}\n")
    output = play(
        "- {name: Same, ansible.builtin.ping: }\n- ansible.builtin.debug: {msg: [changed, TASK]}",
        "-v",  # the results in YAML hold lines that begin with changed, too
        head="  roles: [carbon]\n",
        MOLECULE_SCENARIO_NAME="default",
        ANSIBLE_FORCE_COLOR=color,
    )
    assert molecule_says(output) == (False, ["* [localhost] => carbon : Write [it]"])


def test_molecule_takes_a_run_without_changes_for_idempotent(play: Play) -> None:
    output = play("- ansible.builtin.ping:", MOLECULE_SCENARIO_NAME="default")
    assert molecule_says(output) == (True, [])


def test_the_list_for_molecule_is_for_molecule_alone(play: Play) -> None:
    assert "TASK [" not in play("- ansible.builtin.command: 'true'")


def test_a_log_file_gets_each_line_without_colour(project: Path, play: Play) -> None:
    play("- {name: Logged, ansible.builtin.ping: }", ANSIBLE_LOG_PATH="log", ANSIBLE_FORCE_COLOR="1")
    log = (project / "log").read_text()
    assert "] Logged " in log
    assert "\x1b" not in log


def on_a_terminal(project: Path, **env: str) -> str:
    """Run the playbook with a terminal as its output, and return all that was sent to it."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PLAYBOOK, "play.yml"],
        cwd=project,
        env=environment(**env),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        sent = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            sent += chunk
    os.close(ours)
    return sent.decode()


def test_a_terminal_shows_the_running_task_on_a_line_that_is_rewritten(project: Path) -> None:
    tasks = "- {name: Work, ansible.builtin.ping: }\n- {name: None, ansible.builtin.ping: , when: false}"
    write_playbook(project, tasks)
    sent = on_a_terminal(project, TERM="xterm", COLUMNS="40")
    assert re.search(r"\r\x1b\[K\[\d\d:\d\d\] Work \.\.\.\r\r\x1b\[K\x1b\[[\d;]+m\[\d\d:\d\d\] Work +ok", sent)
    assert re.search(r"\r\x1b\[K\[\d\d:\d\d\] None \.\.\.\r\r\x1b\[K", sent)


def test_a_dumb_terminal_is_not_sent_what_it_does_not_know(project: Path) -> None:
    write_playbook(project, "- {name: Work, ansible.builtin.ping: }")
    assert "\x1b[K" not in on_a_terminal(project, TERM="dumb")
