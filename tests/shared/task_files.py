"""What playbooks, tasks and inventories say, as data: for tests that look for a kind of mistake in all of them."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


class Loader(yaml.SafeLoader):
    """Reads Ansible's own tags as what they tag."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_scalar(node))


def yaml_files():
    """Return all of them but what a run has made."""
    found = (path for name in ("playbooks", "roles", "molecule", "inventory") for path in (ROOT / name).rglob("*.yml"))
    return sorted(path for path in found if not {"secrets", "backups"} & set(path.parts))


def documents(path):
    """Return what a file holds."""
    return list(yaml.load_all(path.read_text(), Loader))


def mappings(value):
    """Return all mappings at and below a value."""
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return ([value] if isinstance(value, dict) else []) + [found for each in below for found in mappings(each)]
