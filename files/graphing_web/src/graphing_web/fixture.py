"""Updates graphite-web's database to the declared state, and says what that changed.

Stdin is JSON: {"accounts": [{"username": "admin", "password": "...", "superuser": true}, ...],
                "dashboards": [{"name": "Photoworld", "graphs": [...], ...}, ...]}

Stdout is JSON: {"changes": ["account admin: created", ...]}; never a password. With `check` nothing is written.
`createsuperuser` fails on its second run and never changes a password; `loaddata` overwrites every time: hence this.
"""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import django
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor


def pending_migrations() -> list[str]:
    """Return the names of the migrations that the database has not seen."""
    executor = MigrationExecutor(connection)
    return [f"{step.app_label}.{step.name}" for step, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]


def account_changes(
    user: Any, want: Mapping[str, Any], check_password: Callable[[str, str], bool]
) -> dict[str, str | bool]:
    """Return the fields of the account that differ from the wish, with the values to set."""
    first, _, last = want.get("name", "").partition(" ")
    superuser = bool(want.get("superuser", False))
    wished = {
        "email": want.get("email", ""),
        "first_name": first,
        "last_name": last,
        "is_superuser": superuser,
        "is_staff": superuser,
        "is_active": True,
    }
    changes = {field: value for field, value in wished.items() if getattr(user, field) != value}
    # The plain function: the method of the same name may store a new hash of the same password.
    if not check_password(want["password"], user.password):
        changes["password"] = want["password"]
    return changes


def bring_account(want: Mapping[str, Any], check: bool) -> str | None:
    """Bring one account to the wish; return what changed, if anything."""
    from django.contrib.auth.hashers import check_password
    from django.contrib.auth.models import User

    name = want["username"]
    user = User.objects.filter(username=name).first()
    if want.get("state", "present") == "absent":
        if user is None:
            return None
        if not check:
            user.delete()
        return f"account {name}: removed"
    created = user is None
    user = user or User(username=name)
    changes = account_changes(user, want, check_password)
    if not changes and not created:
        return None
    if not check:
        for field, value in changes.items():
            if field == "password":
                user.set_password(value)
            else:
                setattr(user, field, value)
        user.save()
    return f"account {name}: " + ("created" if created else ", ".join(sorted(changes)))


def bring_dashboard(state: Mapping[str, Any], check: bool) -> str | None:
    """Save one dashboard; return what changed, if anything."""
    from graphite.dashboard.models import Dashboard

    saved = Dashboard.objects.filter(name=state["name"]).first()
    if saved is not None and json.loads(saved.state) == state:
        return None
    if not check:
        Dashboard.objects.update_or_create(name=state["name"], defaults={"state": json.dumps(state)})
    return f"dashboard {state['name']}: " + ("created" if saved is None else "changed")


def bring_declared(wish: Mapping[str, Any], check: bool) -> list[str]:
    """Bring all of the accounts and dashboards to the wish, or none of them; return what changed."""
    with transaction.atomic():
        changes = [bring_account(want, check) for want in wish["accounts"]]
        changes += [bring_dashboard(state, check) for state in wish["dashboards"]]
    return [change for change in changes if change]


def bring_all(wish: Mapping[str, Any], check: bool) -> list[str]:
    """Bring tables, accounts and dashboards to the wish; return what changed."""
    pending = pending_migrations()
    changes = [f"tables: {len(pending)} migrations"] if pending else []
    if pending and not check:
        call_command("migrate", run_syncdb=True, interactive=False, verbosity=0)
    # A check before the first run finds no tables to compare with.
    return changes + (["accounts and dashboards: created"] if pending and check else bring_declared(wish, check))


def main(check: bool) -> None:
    """Do what stdin says."""
    wish = json.load(sys.stdin)
    django.setup()
    print(json.dumps({"changes": bring_all(wish, check)}))
