#!/usr/bin/env bash
# The pinned uv, in its own environment .tools: install_uv.sh PYTHON UV_VERSION
set -euo pipefail
python="$1" version="$2"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  echo "error: lakeloop needs Python 3.11 or newer, and '$python' is not -> make PYTHON=/path/to/python3.11 setup" >&2
  exit 2
}
"$python" -m venv .tools || {
  echo "error: '$python' cannot make a virtual environment -> sudo apt-get install -y python3-venv" >&2
  exit 2
}
.tools/bin/python -m pip install --disable-pip-version-check "uv==$version"
