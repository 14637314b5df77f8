#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: Debian packages and the npm packages of test/node.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v go >/dev/null; then
  echo "ci/deps.sh: Go is missing; install the version named in go.mod or a newer one from https://go.dev/dl/" >&2
  exit 1
fi

# has PROGRAM, or has MODULE.py for a module of Debian's own Python, says whether it is there.
has() {
  case $1 in
  *.py) /usr/bin/python3 -c "import ${1%.py}" 2>/dev/null ;;
  *) command -v "$1" >/dev/null ;;
  esac
}

# install NAME=PACKAGE... installs the Debian package of each name that is missing.
install() {
  local packages=() as_root=() entry
  for entry; do
    has "${entry%%=*}" || packages+=("${entry#*=}")
  done
  ((${#packages[@]})) || return 0

  if ((EUID != 0)); then
    as_root=(sudo)
    [[ -t 0 ]] || as_root=(sudo -n)
  fi
  if ! command -v apt-get >/dev/null || { ((EUID != 0)) && ! command -v sudo >/dev/null; }; then
    echo "ci/deps.sh: install what these Debian packages have; there is no apt-get or no right to use it: ${packages[*]}" >&2
    exit 1
  fi
  echo "ci/deps.sh: installing ${packages[*]}"
  # With run level 1 the package starts no Redis service: the tests start their own.
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -y)
  "${apt[@]}" update </dev/null
  "${apt[@]}" install --no-install-recommends "${packages[@]}" </dev/null
}

# The race detector needs a C compiler.
install redis-server=redis-server chromium=chromium node=nodejs gcc=build-essential \
  socketio.py=python3-socketio redis.py=python3-redis aiohttp.py=python3-aiohttp websocket.py=python3-websocket
# Some packages of Node bring npm and refuse to stand beside that of Debian.
install npm=npm

# A copy of the lock file beside the modules says what they were installed from.
lock=test/node/package-lock.json
stamp=test/node/node_modules/.installed-from
if ! cmp -s "$lock" "$stamp"; then
  (cd test/node && npm ci --no-audit --no-fund --ignore-scripts </dev/null)
  cp "$lock" "$stamp"
fi
