"""What goes from the controller into a backup: secrets, the inventory's file and the variables beside it."""

import base64

import pytest


@pytest.fixture(scope="module")
def controller_files(load):
    return load("plugins/lookup/controller_files.py").controller_files


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def text(found):
    return {name: base64.b64decode(content).decode() for name, content in found.items()}


def test_secrets_inventory_and_variables_are_named_as_in_the_backup(controller_files, tmp_path):
    write(tmp_path / "secrets/graphs", key="k", tls__own="o")
    write(tmp_path, hosts="h", other="x", group_vars__all="g", host_vars__graphs="v")

    found = controller_files(tmp_path / "secrets/graphs", tmp_path / "hosts")

    assert text(found) == {
        "secrets/key": "k",
        "secrets/tls/own": "o",
        "inventory/hosts": "h",
        "inventory/group_vars/all": "g",
        "inventory/host_vars/graphs": "v",
    }


def test_what_is_not_there_is_left_out(controller_files, tmp_path):
    assert controller_files(tmp_path / "none", tmp_path / "none/hosts") == {}
