#!/usr/bin/env bash
# install.sh GROUP…: installs the Debian packages of these groups (scripts/packages.txt) that are
# missing; for the group test also the npm packages of tests/e2e/receivers, into that folder.
# Needs root, or sudo, only when a Debian package is missing. Starts no service.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ $# -eq 0 ]; then
  echo "usage: install.sh GROUP…   groups: $(awk '!/^#/ && NF {print $1}' "$here/packages.txt" | sort -u | xargs)" >&2
  exit 2
fi

# The libraries that verify signatures, as their lock file pins them; their scripts are not run.
install_receivers() {
  local folder=$here/../tests/e2e/receivers
  local mark=$folder/node_modules/.package-lock.json
  if [ -e "$mark" ] && [ ! "$folder/package-lock.json" -nt "$mark" ]; then return; fi
  echo "Installing npm packages: tests/e2e/receivers"
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
  touch "$mark"
}
case " $* " in
  *" test "*) after=install_receivers ;;
  *) after=true ;;
esac

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
known() { apt-cache show "$1" >/dev/null 2>&1; }

# The entries of the wanted groups of which no alternative is installed.
missing=()
for group in "$@"; do
  entries=$(awk -v group="$group" '$1 == group {print $2}' "$here/packages.txt")
  if [ -z "$entries" ]; then
    echo "install.sh: no group \"$group\" in scripts/packages.txt" >&2
    exit 2
  fi
  for entry in $entries; do
    found=no
    for package in ${entry//|/ }; do
      if installed "$package"; then found=yes; fi
    done
    # Other packages of Node.js than Debian's bring it along.
    if [ "$entry" = npm ] && command -v npm >/dev/null; then found=yes; fi
    if [ $found = no ]; then missing+=("$entry"); fi
  done
done
if [ ${#missing[@]} -eq 0 ]; then
  $after
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "install.sh: this is not Debian; please install: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install.sh: needs root to install: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Runs quietly; on failure shows what apt said.
quietly() {
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 </dev/null; then
    echo "install.sh: failed: $*" >&2
    tail -n 20 "$log" >&2
    return 1
  fi
}

chosen=()
choose() {
  chosen=()
  local entry package
  for entry in "${missing[@]}"; do
    for package in ${entry//|/ }; do
      if known "$package"; then
        chosen+=("$package")
        continue 2
      fi
    done
    return 1
  done
}

# HAProxy, nginx and Squid are wanted as programs, not as services of this machine.
policy=/usr/sbin/policy-rc.d
made_policy=no
if [ ! -e $policy ]; then
  "${as_root[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy"
  made_policy=yes
fi
clean_up() {
  rm -f "$log"
  if [ $made_policy = yes ]; then "${as_root[@]}" rm -f $policy; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

apt=(apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq)
install_chosen() { quietly "${apt[@]}" install --yes --no-install-recommends "${chosen[@]}"; }

echo "Installing Debian packages: ${missing[*]}"
# The package lists are fetched only when they lack something, or are too old to fetch by.
if ! choose || ! install_chosen 2>/dev/null; then
  quietly "${apt[@]}" update
  if ! choose; then
    echo "install.sh: this release of Debian lacks one of: ${missing[*]}" >&2
    exit 1
  fi
  install_chosen
fi
$after
