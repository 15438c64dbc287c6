# SPDX-License-Identifier: MIT
# Sourced by the run.sh scripts: install_dependencies SCRIPT PACKAGE… installs the Debian packages that are missing.
install_dependencies() {
  local script="$1" package missing=() administrator=()
  shift
  for package in "$@"; do
    [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ! command -v apt-get >/dev/null; then
    echo "$script: install ${missing[*]} (Debian names; this machine has no apt-get)" >&2
    return 1
  fi
  echo "$script: installing ${missing[*]}"
  ((EUID == 0)) || administrator=(sudo)
  "${administrator[@]}" apt-get update --quiet
  "${administrator[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
}
