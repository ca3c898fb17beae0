#!/bin/sh
# In the directory of a release: makes its virtual environment of requirements.txt and the wheel that lie there, with
# COMPILE=yes also its extension modules, then forgets the releases that are neither this one nor the one in use.
set -eu
python3 -m venv --clear venv
# What the locked list does not name is not installed; what has not the listed hash is refused.
venv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.txt
venv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --no-index ./*.whl
if [ "${COMPILE:-}" = yes ] && [ -e compile.sh ]; then
  sh ./with_compiler.sh sh ./compile.sh . venv/bin/python
  mv ./*.so "$(venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')"
fi
touch complete
in_use=$(dirname "$(readlink -f ../../venv)")
for release in ../*; do
  release=$(realpath "$release")
  [ "$release" = "$PWD" ] || [ "$release" = "$in_use" ] || rm -rf "$release"
done
