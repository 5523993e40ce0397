#!/usr/bin/env bash
# Installs what the peers are made of into DIR, outside the repository:
#   DIR/node, DIR/js, DIR/conformance-stable, DIR/conformance-alpha   npm, from the lock files here
#   DIR/python                                                       a virtual environment
#   DIR/rmcp                                                         two programs of Rust, compiled
#   DIR/browser, DIR/remote, DIR/inspector                           npm: what drives the browser, mcp-remote, the inspector
#   DIR/debian                                                       programs of Debian, unpacked and not installed
#   DIR/chromium                                                     a browser of Debian, with all that it needs
#   DIR/resolve.mjs                                                  lets our files find DIR/js
# Run it before every use: what is already there for the same lock files is left alone.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)

exec 9>"$dir/.lock"
flock 9

# Runs `install_KIND NAME` in a fresh DIR/NAME, unless it was done for these very files.
once() {
  local kind=$1 name=$2 digest
  digest=$(cat "$here/packages/$name/"* | sha256sum)
  [ "$(cat "$dir/$name/.stamp" 2>/dev/null)" != "$digest" ] || return 0
  echo "installing $name" >&2
  rm -rf "${dir:?}/$name"
  mkdir "$dir/$name"
  cp "$here/packages/$name/"* "$dir/$name/"
  "install_$kind" "$dir/$name"
  echo "$digest" >"$dir/$name/.stamp"
}

install_npm() {
  # The suites name an engine that is newer than the Node that installs them: ours runs them.
  (cd "$1" && npm ci --no-audit --no-fund --loglevel=error >&2)
}

install_venv() {
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$1/requirements.txt" >&2
  "$1/bin/pip" check >&2
}

install_cargo() {
  (cd "$1" && cargo build --quiet --locked --target-dir build >&2)
}

# Neither root nor the system's own lists are needed; apt itself verifies what it fetches.
install_debian() {
  unpack "$1" cat packages.txt
}

# The same with all that they depend on, whatever the system has: but for the C library, which comes with the loader, and
# drivers of graphics cards.
install_closure() {
  unpack "$1" closure
}

# In DIR, with its own lists: what is downloaded for packages.txt.
closure() {
  : >status
  xargs apt-get "${lists[@]}" -o "Dir::State::status=$PWD/status" --simulate --no-install-recommends install <packages.txt |
    awk '$1 == "Inst" && $2 !~ /^(libc6|libc-bin|libgl1-mesa-dri|libllvm.*|libz3-4)$/ { print $2 }'
}

# Unpacks in DIR the packages that the rest of the line names.
unpack() {
  local lists=(-o "Dir::State::lists=$1/lists" -o "Dir::Cache=$1/cache" -o APT::Sandbox::User=)
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
  (
    cd "$1"
    apt-get "${lists[@]}" --quiet=2 update >&2
    "${@:2}" >names.txt
    xargs apt-get "${lists[@]}" --quiet=2 download <names.txt >&2
    for package in ./*.deb; do dpkg-deb --extract "$package" .; done
    rm -rf lists cache status names.txt ./*.deb
  )
}

for name in node js conformance-stable conformance-alpha browser remote inspector; do
  once npm "$name" &
  jobs+=($!)
done
once venv python &
jobs+=($!)
once cargo rmcp &
jobs+=($!)
once debian debian &
jobs+=($!)
once closure chromium &
jobs+=($!)
for job in "${jobs[@]}"; do wait "$job"; done

cp "$here/resolve.mjs" "$dir/resolve.mjs"
# Chromium's own fonts and no others, so that a page looks the same everywhere.
cat >"$dir/chromium/fonts.conf" <<EOF
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>$dir/chromium/usr/share/fonts</dir>
  <cachedir>$dir/chromium/fonts-cache</cachedir>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
EOF
