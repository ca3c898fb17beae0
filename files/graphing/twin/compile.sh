#!/bin/sh
# Compiles DIRECTORY/graphing_twin.c beside itself: compile.sh DIRECTORY PYTHON.
set -eu
suffix=$("$2" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
include=$("$2" -c 'import sysconfig; print(sysconfig.get_path("include"))')
# No contraction: a fused multiplication would round differently from the reference.
${CC:-cc} -O2 -fPIC -shared -ffp-contract=off -fno-strict-aliasing -Wno-unused-function -I "$include" \
  "$1/graphing_twin.c" -o "$1/graphing_twin$suffix.new"
mv "$1/graphing_twin$suffix.new" "$1/graphing_twin$suffix"
