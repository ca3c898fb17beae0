#!/bin/sh
# ansible-core 2.19.14: the tag !unsafe undoes the quotes of a YAML scalar. Quoted text that looks like a number or a truth
# value is one behind the tag: !unsafe "0123" is the number 83, !unsafe "yes" is true. Without the tag, quotes make text. A
# password that is tagged because it might hold {{ may so become another one.
#
# Seen on 2026-11-29 (Python 3.11):
#   quoted        str   '0123'
#   tagged        int   83
#   tagged_truth  bool  True
#   tagged_text   str   '12a{{'
#
# Exits 1 if that changes. Needs python3 with venv, and PyPI.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ansible-core==2.19.14
cat >"$folder/values.yml" <<'YAML'
quoted: "0123"
tagged: !unsafe "0123"
tagged_truth: !unsafe "yes"
tagged_text: !unsafe "12a{{"
YAML
cat >"$folder/play.yml" <<'YAML'
- hosts: localhost
  gather_facts: false
  vars_files: [values.yml]
  tasks:
    - ansible.builtin.copy:
        content: "{{ [quoted, tagged, tagged_truth, tagged_text] | to_json }}"
        dest: "{{ playbook_dir }}/seen.json"
        mode: "0600"
YAML
cd "$folder"
ANSIBLE_CONFIG=$folder/none.cfg "$folder/venv/bin/ansible-playbook" play.yml >play.log 2>&1 || { cat play.log; exit 1; }
wanted='["0123", 83, true, "12a{{"]'
seen=$(cat seen.json)
echo "ansible-core 2.19.14: $seen"
[ "$seen" = "$wanted" ] || { echo "expected $wanted"; exit 1; }
