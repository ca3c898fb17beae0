"""The repository in a path with blanks and the like: what people type works from there, or is refused at once."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from task_files import documents, mappings, yaml_files

ROOT = Path(__file__).resolve().parents[2]
ODD = "Jörg's"  # refused
FINE = "Jörg (alt), a b"

COMMANDS = re.compile(r"(ansible\.builtin\.)?(command|shell|script|raw)$")
PATHS = re.compile(
    r"\b(playbook_dir|role_path|inventory_dir|inventory_file|ansible_playbook_python|ansible_config_file|\w*_secrets)\b"
)
EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.S)


def splits_a_path(text):
    """Whether a text that is split at its blanks has a path of this computer in it that is not quoted."""
    unquoted = [
        each for each in EXPRESSION.findall(text) if PATHS.search(each) and not re.search(r"\|\s*quote\b", each)
    ]
    return bool(unquoted) or bool(re.search(r'(?<!")\$\{MOLECULE_\w*(DIRECTORY|FILE)\}', text))


def split_texts(mapping):
    """What of a mapping is split at its blanks: commands that are no list, options of ssh, extra variables."""
    for key, value in mapping.items():
        if COMMANDS.match(str(key)):
            yield value if isinstance(value, str) else value.get("cmd", "") if isinstance(value, dict) else ""
            argv = value.get("argv", []) if isinstance(value, dict) else []
            yield from (each for each in argv if isinstance(argv, list) and re.match(r"\w+=", str(each)))
        if key == "command" and mapping.get("name") == "shell":
            yield value
        if re.fullmatch(r"ansible_ssh_\w*args", str(key)):
            # ssh splits what is in single quotes once more.
            yield re.sub(r"""'\w+="[^"']*"'""", "", value)


@pytest.mark.parametrize("path", yaml_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_path_of_this_computer_is_split_at_its_blanks(path):
    for document in documents(path):
        for mapping in mappings(document):
            assert not list(filter(splits_a_path, filter(None, split_texts(mapping))))


@pytest.mark.parametrize(
    ("mapping", "wrong"),
    [
        ({"ansible.builtin.command": "{{ playbook_dir }}/../../bin/image 13"}, True),
        ({"ansible.builtin.command": "{{ (playbook_dir ~ '/x') | quote }} 13"}, False),
        ({"ansible.builtin.command": {"argv": ["{{ playbook_dir }}/x", "13"]}}, False),
        ({"ansible.builtin.command": {"argv": ["x", "-e", "ec2_inventory={{ playbook_dir }}/inventory"]}}, True),
        ({"ansible.builtin.shell": {"cmd": "cat {{ inventory_dir }}/x"}}, True),
        ({"ansible_ssh_common_args": "-o UserKnownHostsFile={{ inventory_dir }}/known"}, True),
        ({"ansible_ssh_common_args": '-o UserKnownHostsFile="{{ inventory_dir }}/known"'}, True),
        ({"ansible_ssh_common_args": "-o 'UserKnownHostsFile=\"{{ inventory_dir }}/known\"'"}, False),
        ({"name": "shell", "command": "python ${MOLECULE_PROJECT_DIRECTORY}/x"}, True),
        ({"name": "shell", "command": 'python "${MOLECULE_PROJECT_DIRECTORY}/x"'}, False),
    ],
)
def test_what_is_split_is_told_from_what_is_not(mapping, wrong):
    assert any(map(splits_a_path, filter(None, split_texts(mapping)))) is wrong


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """This repository in a path with blanks, with the tools that are here."""
    there = tmp_path_factory.mktemp("odd") / FINE / "photoworld graphing"
    hidden = shutil.ignore_patterns(".*", "__pycache__", "secrets", "backups")
    shutil.copytree(ROOT, there, ignore=hidden, symlinks=True)
    (there / ".venv/bin").mkdir(parents=True)
    (there / ".venv/.complete").touch()
    for tool in Path(sys.executable).parent.iterdir():
        (there / ".venv/bin" / tool.name).symlink_to(tool)
    return there


def run(copy, *command):
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("ANSIBLE_", "GRAPHING_"))}
    return subprocess.run(
        [str(each) for each in command],
        cwd=copy,
        env=environment | {"ANSIBLE_NOCOLOR": "1", "PATH": f"{copy}/.venv/bin:{environment['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_what_make_up_runs_is_found_and_read(copy):
    playbooks = ["molecule/shared/create.yml", "molecule/shared/prepare.yml", "playbooks/site.yml"]
    read = run(copy, "ansible-playbook", "--syntax-check", "-i", "inventory/local/", *playbooks)
    assert read.returncode == 0, read.stdout


def test_the_test_host_is_the_one_of_the_inventory(copy):
    hosts = copy / "inventory/local/hosts.yml"
    hosts.write_text(hosts.read_text().replace("    photoworld-graphing:", "    another-name:"))
    assert run(copy, "bin/test-host").stdout == "another-name\n"


def test_apply_gets_as_far_as_the_host(copy):
    asked = run(copy, "bin/apply", "root@127.0.0.1:1", "--check")
    assert "127.0.0.1 does not answer" in " ".join(asked.stdout.split()), asked.stdout
    assert (copy / "inventory/127.0.0.1/group_vars/graphing.yml").exists()


RELEASE = """
- hosts: localhost
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    ansible_facts: {python_version: 3.13.0}
    python_app_name: graphing
    python_app_source: "{{ playbook_dir }}/files/graphing"
    python_app_user: statsd
    password: "{{ lookup('ansible.builtin.password', playbook_dir ~ '/secrets/it', length=24) }}"
  tasks:
    - ansible.builtin.include_role: {name: python_app, tasks_from: install, public: true}
    - ansible.builtin.debug:
        msg: "release {{ _python_app_release }}, password {{ password }}"
"""


def test_the_bundle_and_the_secrets_lie_where_they_are_looked_for(copy):
    (copy / "release.yml").write_text(RELEASE)
    made = run(copy, "ansible-playbook", "--check", "-i", "localhost,", "-c", "local", "release.yml")
    assert made.returncode == 0, made.stdout
    (bundle,) = (copy / ".cache/bundles").glob("graphing-*.tar")
    named = hashlib.sha256(bundle.read_bytes()).hexdigest() + "3.13.0" + "False"
    assert f"release {hashlib.sha256(named.encode()).hexdigest()[:12]}, " in made.stdout
    assert f"password {(copy / 'secrets/it').read_text().strip()}" in made.stdout


@pytest.mark.parametrize("name", [ODD, 'a "b"', "a$b", "a:b", "a=b", "a%b", "a{b", "a  b", "a\\b", "a`b", "a;b"])
def test_a_path_that_tools_would_misread_is_refused_before_anything_else(tmp_path, name):
    there = tmp_path / name
    (there / "bin").mkdir(parents=True)
    (there / ".venv").mkdir()
    shutil.copy(ROOT / "bin/venv", there / "bin")
    refused = subprocess.run([there / "bin/venv"], capture_output=True, text=True, check=False)
    assert refused.returncode == 69
    assert "would misread" in refused.stderr
    assert "Move this folder" in refused.stderr
    assert (there / ".venv").exists(), "it has begun"
