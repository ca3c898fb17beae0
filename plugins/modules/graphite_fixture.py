"""Ansible module: updates tables, accounts and dashboards of graphite-web to the declared state."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # ansible ships no types

DOCUMENTATION = """
module: graphite_fixture
short_description: Tables, accounts and dashboards of graphite-web
description:
  - Runs C(graphing-web fixture) as the user of graphite-web, whose settings the task's environment names.
  - A check on a host that has no such command yet changes nothing, as there is no database to ask.
options:
  accounts:
    description: Accounts that there are to be, or not to be. Others are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      username: {description: The account's name., type: str, required: true}
      password: {description: The password., type: str, default: ""}
      email: {description: The e-mail address., type: str, default: ""}
      name: {description: The full name., type: str, default: ""}
      superuser: {description: Whether the account may do anything., type: bool, default: false}
      state: {description: Whether it is to be there., type: str, choices: [present, absent], default: present}
  dashboards:
    description: Saved dashboards as graphite-web keeps them, by their C(name). Others are left alone.
    type: list
    elements: dict
    required: true
  command:
    description: Where C(graphing-web) is on the host.
    type: path
    required: true
  user:
    description: Who asks the database; the files of the database are this user's.
    type: str
    required: true
"""
EXAMPLES = """
- name: Update accounts and dashboards to the declared state
  graphite_fixture:
    accounts: [{username: admin, password: "{{ vault_admin }}", superuser: true}]
    dashboards: "{{ dashboards }}"
    command: /usr/local/lib/graphing/graphing-web
    user: _graphite
  environment: {DJANGO_SETTINGS_MODULE: graphite.settings}
  no_log: true
"""
RETURN = """
changes: {description: "A sentence for each change, such as C(account admin: created).", type: list, returned: always}
"""

ACCOUNT = {
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "default": "", "no_log": True},
    "email": {"type": "str", "default": ""},
    "name": {"type": "str", "default": ""},
    "superuser": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
OPTIONS: dict[str, Any] = {
    "accounts": {"type": "list", "elements": "dict", "required": True, "options": ACCOUNT},
    "dashboards": {"type": "list", "elements": "dict", "required": True},
    "command": {"type": "path", "required": True},
    "user": {"type": "str", "required": True},
}


def command_line(command: str, user: str, check: bool) -> list[str]:
    """Return what is run: as the user, with the task's environment. Passwords go by stdin."""
    fixture = [command, "fixture", *(["--check"] if check else [])]
    return ["runuser", "--preserve-environment", "-u", user, "--", *fixture]


def main() -> None:
    """Do what the task says."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    given = module.params
    if module.check_mode and not os.path.exists(given["command"]):
        module.exit_json(changed=False, changes=[])
    command = command_line(given["command"], given["user"], module.check_mode)
    wish = {name: given[name] for name in ("accounts", "dashboards")}
    status, said, error = module.run_command(command, data=json.dumps(wish))
    if status:
        module.fail_json(msg=f"{given['command']} fixture has failed ({status}): {error.strip() or said.strip()}")
    changes = json.loads(said.strip().splitlines()[-1])["changes"]
    shown = "".join(f"+{change}\n" for change in changes)
    module.exit_json(changed=bool(changes), changes=changes, diff={"prepared": shown})


if __name__ == "__main__":
    main()
