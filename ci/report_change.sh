#!/usr/bin/env bash
# What a change does to a model: trains a use case with the target branch's code and with the code checked out here, on
# the same rows, and compares both on the same held-out rows. Leaves FOLDER/report.md, report.html, report.json, plots/.
#   ci/report_change.sh USE_CASE ROWS TARGET FOLDER [PLOTS_URL]
set -euo pipefail
use_case=$1 rows=$2 target=$3 folder=$4 plots_url=${5:-}
here=$(git rev-parse --show-toplevel)
mkdir -p "$folder/homes/target"
folder=$(cd "$folder" && pwd)
before=$(mktemp -d)

clean_up() {
  LAKELOOP_HOME="$folder/homes/target" "$here/.venv/bin/lakeloop" stop --all >/dev/null 2>&1 || true
  LAKELOOP_HOME="$folder/homes/change" "$here/.venv/bin/lakeloop" stop --all >/dev/null 2>&1 || true
  git -C "$here" worktree remove --force "$before" >/dev/null 2>&1 || true
}
trap clean_up EXIT

# The target branch's own code, in its own environment where the locked packages differ.
git -C "$here" worktree add --quiet --force --detach "$before" "$target"
if cmp --silent "$here/uv.lock" "$before/uv.lock"; then
  python=("env" "PYTHONPATH=$before/src:$before" "$here/.venv/bin/python")
else
  make -C "$before" setup
  python=("$before/.venv/bin/python")
fi
if ! (cd "$before" && LAKELOOP_HOME="$folder/homes/target" "${python[@]}" -m lakeloop.cli run "$use_case" --rows "$rows"); then
  echo "::warning::the code of $target trains no $use_case: there is nothing to compare with" >&2
fi

cd "$here"
export LAKELOOP_HOME="$folder/homes/change"
.venv/bin/lakeloop run "$use_case" --rows "$rows"
compare=(.venv/bin/lakeloop report "$use_case" --against "$target" --against-home "$folder/homes/target")
"${compare[@]}" --to "$folder/report.md" --plots "$folder/plots" ${plots_url:+--plots-url "$plots_url"}
"${compare[@]}" --format html --to "$folder/report.html"
"${compare[@]}" --json >"$folder/report.json"
