#!/usr/bin/env bash
# Puts a report's plots on a branch of their own, so that a comment can show them: GitHub takes no files with a comment.
#   ci/publish_plots.sh FOLDER NAME
set -euo pipefail
folder=$1 name=$2 branch=lakeloop-reports
GIT_INDEX_FILE=$(mktemp -u)
export GIT_INDEX_FILE
export GIT_AUTHOR_NAME=lakeloop GIT_AUTHOR_EMAIL=lakeloop@localhost
export GIT_COMMITTER_NAME=lakeloop GIT_COMMITTER_EMAIL=lakeloop@localhost
trap 'rm -f "$GIT_INDEX_FILE"' EXIT

# Another push may be first: then once more, on top of it.
for attempt in 1 2 3 4 5; do
  parent=()
  rm -f "$GIT_INDEX_FILE"
  if git fetch --quiet --depth 1 origin "$branch" 2>/dev/null; then
    head=$(git rev-parse FETCH_HEAD)
    parent=(-p "$head")
    git read-tree "$head"
  fi
  for plot in "$folder"/*.png; do
    blob=$(git hash-object -w "$plot")
    git update-index --add --cacheinfo "100644,$blob,$name/$(basename "$plot")"
  done
  commit=$(git commit-tree "$(git write-tree)" ${parent[@]+"${parent[@]}"} -m "Plots of $name")
  if git push --quiet origin "$commit:refs/heads/$branch"; then
    exit 0
  fi
  echo "push $attempt of 5 was refused" >&2
done
exit 1
