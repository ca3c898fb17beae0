"""A run shows what it changes in files if it is asked to (--diff), and not otherwise."""

import pytest
from jinja2.nativetypes import NativeEnvironment
from task_files import documents, mappings, yaml_files

WISHES = [
    (path.parts[-3], task)
    for path in yaml_files()
    if "tasks" in path.parts or path.parent.name == "playbooks"
    for task in mappings(documents(path))
    if "diff" in task and "name" in task
]


def test_there_are_tasks_that_say_something_of_it():
    assert WISHES


@pytest.mark.parametrize(("where", "task"), WISHES, ids=lambda each: each if isinstance(each, str) else each["name"])
def test_no_task_shows_a_difference_that_nobody_asked_for(where, task):
    assert not NativeEnvironment().from_string(str(task["diff"])).render(ansible_diff_mode=False)
