"""A misspelt variable is named together with the one that was meant."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ["carbon_retentions", "carbon_port", "carbon_caches"]


@pytest.fixture(scope="module")
def variables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("variables", ROOT / "plugins/filter/variables.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_known_variables_give_no_message(variables: ModuleType) -> None:
    assert variables.unknown_variables(OPTIONS, OPTIONS) == []


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(variables: ModuleType) -> None:
    assert variables.unknown_variables(["carbon_retentoins", "carbon_port"], OPTIONS) == [
        "carbon_retentoins is not a variable of role carbon (did you mean carbon_retentions?)"
    ]


def test_a_name_like_no_other_gets_no_guess(variables: ModuleType) -> None:
    assert variables.unknown_variables(["carbon_zzzzzzzzzzz"], OPTIONS) == [
        "carbon_zzzzzzzzzzz is not a variable of role carbon"
    ]


def test_a_renamed_variable_is_named_with_its_successor_only(variables: ModuleType) -> None:
    assert variables.unknown_variables(["carbon_keep"], OPTIONS, {"carbon_keep": "carbon_retentions"}) == [
        "carbon_keep was renamed to carbon_retentions"
    ]


def test_internals_are_left_alone(variables: ModuleType) -> None:
    assert variables.unknown_variables(["_carbon_user"], OPTIONS) == []


@pytest.mark.parametrize(
    ("options", "role"),
    [
        (["graphite_web_port", "graphite_web_user"], "graphite_web"),
        (["graphite_web_port"], "graphite_web"),
        (["host_port", "host_ports"], "host"),
        (["carbon_cache_points", "carbon_relay_queue"], "carbon"),
    ],
)
def test_the_role_is_guessed_from_its_options(variables: ModuleType, options: list[str], role: str) -> None:
    assert variables.unknown_variables(["other"], options) == [f"other is not a variable of role {role}"]


def test_whose_they_are_can_be_given(variables: ModuleType) -> None:
    options = ["nginx_tls_key", "nginx_tls_cert"]
    assert variables.unknown_variables(["other"], options, owner="role nginx") == [
        "other is not a variable of role nginx"
    ]


def test_ansible_finds_the_filter_and_the_specs_may_be_a_dictionary(tmp_path: Path) -> None:
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        """
- hosts: localhost
  gather_facts: false
  vars:
    carbon_prot: 1
    specs: {carbon_port: {type: int}, carbon_caches: {type: int}}
  tasks:
    - ansible.builtin.debug:
        msg: "{{ lookup('ansible.builtin.varnames', '^carbon_', wantlist=True) | unknown_variables(specs) }}"
"""
    )
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\nfilter_plugins = {ROOT}/plugins/filter\n")
    ran = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), playbook],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "carbon_prot is not a variable of role carbon (did you mean carbon_port?)" in ran.stdout
