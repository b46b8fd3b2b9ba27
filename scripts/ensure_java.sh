#!/usr/bin/env bash
# Java 17 or newer is there, or is installed (root on Debian or Ubuntu), or the line that installs it is named.
set -euo pipefail

java_major() {
  local java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
  command -v "$java" >/dev/null 2>&1 || { echo 0; return; }
  "$java" -version 2>&1 | sed -nE '1s/.*version "([0-9]+).*/\1/p' | grep . || echo 0
}

install_line() {
  if command -v apt-get >/dev/null 2>&1; then echo "sudo apt-get update && sudo apt-get install -y openjdk-17-jre-headless"
  elif command -v dnf >/dev/null 2>&1; then echo "sudo dnf install -y java-17-openjdk-headless"
  elif command -v brew >/dev/null 2>&1; then echo "brew install openjdk@17"
  else echo "install a Java 17 runtime and set JAVA_HOME to it"
  fi
}

major="$(java_major)"
[ "$major" -ge 17 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && [ -z "${JAVA_HOME:-}" ]; then
  echo "== Java 17 runtime, by apt-get"
  package=openjdk-17-jre-headless
  apt-get update
  apt-cache show "$package" >/dev/null 2>&1 || package=default-jre-headless
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package"
  major="$(java_major)"
  [ "$major" -ge 17 ] && exit 0
fi

found="no Java"
[ "$major" -gt 0 ] && found="Java $major"
echo "error: Spark needs Java 17 or newer, found $found${JAVA_HOME:+ in JAVA_HOME=$JAVA_HOME} -> $(install_line)" >&2
exit 2
