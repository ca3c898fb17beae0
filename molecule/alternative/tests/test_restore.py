"""Backup and restore where graphite-web keeps its accounts and dashboards in PostgreSQL."""

import shlex

from playbook import run_playbook

COUNT = "select count(*) from dashboard_dashboard where name = 'by-hand'"


def ask(host, statement):
    """What the database answers."""
    return host.check_output(
        f"runuser -u _graphite -- psql -d graphite -v ON_ERROR_STOP=1 -tAc {shlex.quote(statement)}"
    )


def test_a_backup_brings_dashboards_back(host, inventory):
    ask(host, "insert into dashboard_dashboard (name, state) values ('by-hand', '{}')")
    run = run_playbook("backup", inventory)
    assert run.status == 0, run.output
    ask(host, "delete from dashboard_dashboard where name = 'by-hand'")
    run = run_playbook("restore", inventory, restore_replace=True)
    assert run.status == 0, run.output
    assert "graphite.dump" in run.words, run.output
    assert ask(host, COUNT) == "1"


def test_what_was_there_is_kept_beside_it(host):
    kept = host.check_output("ls -d /var/lib/graphite/graphite.dump.before-*")
    assert host.file(kept).mode == 0o600
    assert "by-hand" not in host.check_output(f"pg_restore --data-only --table=dashboard_dashboard --file=- {kept}")
