#!/bin/bash
# Tries the image with a real container engine, as root on Debian:
#
#     packaging/docker/try.sh [--program FILE] [FOLDER]
#
# No registry of images is needed. The two images that the Dockerfile begins with are made here, under the names
# that it has for them: one of Debian's packages (debootstrap), and one with a compiler and the toolchain of this machine
# on top of it. podman then builds the image and runs two nodes in it, in a network of their own that has nothing but
# loopback. To compile in there takes as long as anywhere; with --program nothing is compiled, and FILE, made for this
# system, is what the compiler would have made. Everything is below FOLDER, or a folder that is removed at the end: given
# the same one again, its two images are used again. Each line that begins with "ok" or "FAILED" is a promise of
# docs/operations.md.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
failures=0

skip() {
    echo "skipped: $*"
    exit 0
}

program=
if [ "${1:-}" = --program ]; then
    program=$(realpath "$2")
    shift 2
fi
if [ "$(id -u)" != 0 ]; then skip "it has to be run as root"; fi
for tool in debootstrap podman runc rustup cargo git; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
version=$(sed -n 's/^ENV RUSTUP_TOOLCHAIN=//p' "$here/Dockerfile")
compiler=$(rustup which --toolchain "$version" rustc 2>/dev/null) || [ -n "$program" ] ||
    skip "the toolchain is not there: rustup toolchain install $version"

if [ $# -gt 0 ]; then
    mkdir -p "$1"
    work=$(realpath "$1")
else
    work=$(mktemp -d)
fi
cat >"$work/registries.conf" <<'CONF'
unqualified-search-registries = ["localhost"]
short-name-mode = "permissive"
CONF
export CONTAINERS_REGISTRIES_CONF=$work/registries.conf

# One that works where cgroups are mixed, and where root may not raise its own limits.
engine() {
    podman --root "$work/storage" --runroot "$work/run" --storage-driver overlay --cgroup-manager cgroupfs \
        --runtime runc --log-level fatal "$@"
}
build() { engine build --isolation chroot --network host --format docker --pull=never --layers=false "$@"; }
start() {
    local name=$1
    shift
    engine run --detach --name "$name" --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 "$@" >/dev/null
}
inside() {
    local name=$1
    shift
    engine exec "$name" "$@"
}
clean() {
    engine rm --force --time 0 second first >/dev/null 2>&1 || true
    engine volume rm --force first second >/dev/null 2>&1 || true
}
finish() {
    clean
    if [ -z "${keep:-}" ]; then
        engine rmi --all --force >/dev/null 2>&1 || true
        rm -rf "$work"
    fi
}
keep=${1:-}
trap finish EXIT

bases() {
    local debian rust
    rust=localhost/$(sed -n 's/^FROM \(.*\) AS build$/\1/p' "$here/Dockerfile")
    debian=localhost/$(sed -n 's/^FROM \([^ ]*\)$/\1/p' "$here/Dockerfile")
    if ! engine image exists "$debian"; then
        rm -rf "$work/system"
        debootstrap --variant=minbase bookworm "$work/system" >"$work/debootstrap.log"
        tar -C "$work/system" -c . | engine import - "$debian" >/dev/null
        rm -r "$work/system"
    fi
    if [ -n "$program" ]; then
        stand_in "$debian"
        engine tag localhost/stand-in "$rust"
    else
        if ! engine image exists localhost/compiler; then compiler "$debian"; fi
        engine tag localhost/compiler "$rust"
    fi
}
# What the image of that name has, as far as a build needs it, and the sources of the dependencies: this machine may
# reach their registry in ways that a container does not.
compiler() {
    local folder=$work/compiler toolchain
    toolchain=$folder/toolchains/$version-$(uname -m)-unknown-linux-gnu
    mkdir -p "$folder/toolchains" "$folder/bin" "$folder/registry"
    cp -a "$(realpath "$(dirname "$compiler")/..")" "$toolchain"
    rm -rf "$toolchain/share/doc"
    cp -L "$(command -v rustup)" "$folder/bin/rustup"
    for tool in cargo rustc; do ln -f "$folder/bin/rustup" "$folder/bin/$tool"; done
    (cd "$root" && cargo fetch --quiet --locked)
    cp -a "${CARGO_HOME:-$HOME/.cargo}"/registry/{index,cache} "$folder/registry"
    cat >"$folder/Dockerfile" <<DOCKER
FROM $1
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV CARGO_NET_OFFLINE=true
RUN apt-get update -q && apt-get install -q -y --no-install-recommends ca-certificates gcc libc6-dev wget
COPY toolchains /usr/local/rustup/toolchains
COPY bin /usr/local/cargo/bin
COPY registry /usr/local/cargo/registry
DOCKER
    build -t localhost/compiler "$folder" >"$work/compiler.log" 2>&1
    rm -r "$folder"
}
# A cargo that has the program already.
stand_in() {
    local folder=$work/stand-in
    mkdir -p "$folder"
    cp "$program" "$folder/dunlin"
    printf '#!/bin/sh\nmkdir -p target/release && cp /opt/dunlin target/release/dunlin\n' >"$folder/cargo"
    chmod +x "$folder/cargo" "$folder/dunlin"
    cat >"$folder/Dockerfile" <<DOCKER
FROM $1
RUN apt-get update -q && apt-get install -q -y --no-install-recommends binutils
COPY dunlin /opt/dunlin
COPY cargo /usr/local/bin/cargo
DOCKER
    build -t localhost/stand-in "$folder" >"$work/stand-in.log" 2>&1
    rm -r "$folder"
}

check() {
    local words=$1
    shift
    if "$@"; then echo "ok      $words"; else echo "FAILED  $words"; failures=$((failures + 1)); fi
}
within() { # so many seconds, until a command succeeds
    local left=$1
    shift
    until "$@"; do
        if [ $((left -= 1)) -lt 0 ]; then return 1; fi
        sleep 1
    done
}
answers() { inside "$1" dunlin status >/dev/null 2>&1; }
id_of() { inside "$1" dunlin status --json | sed 's/.*"id": *"\([^"]*\)".*/\1/;t;d' | head -n 1; }
is_connected() { inside "$1" dunlin peer list --filter connected 2>/dev/null | grep -q Connected; }
is_healthy() { engine healthcheck run first >/dev/null; }
stops() { engine stop --time 10 "$1" >/dev/null; }
is_owner() { [ "$(inside first id -u):$(inside first id -g)" = 65532:65532 ]; }
is_private() { [ "$(inside first stat -c %u:%g:%a /var/lib/dunlin)" = 65532:65532:700 ]; }
has_no_compiler() { ! inside first sh -c 'command -v gcc || command -v cargo' >/dev/null; }
has_ended_in_peace() { [ "$(engine inspect --format '{{.State.ExitCode}}' "$1")" = 0 ]; }
is_same() { [ -n "$1" ] && [ "$1" = "$2" ]; }
refuses() { ! engine run --rm --network none --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 "$@" >/dev/null 2>&1; }

steps() {
    local id began
    start first --network none --volume first:/var/lib/dunlin dunlin
    check "it runs and answers" within 30 answers first
    check "it is healthy" is_healthy
    check "it runs as user 65532" is_owner
    check "its volume is its own, and nobody else's" is_private
    check "there is no compiler in it" has_no_compiler
    printf '[network.peers]\nbootstrap_nodes = ["127.0.0.1:4600"]\n' >"$work/node.toml"
    start second --network container:first --volume second:/var/lib/dunlin --volume "$work/node.toml:/etc/dunlin/node.toml:ro" \
        --env DUNLIN_PORT=4601 dunlin start --config /etc/dunlin/node.toml
    check "another one takes a file and a variable, and joins" within 30 is_connected second
    check "and is known to the first" within 30 is_connected first
    id=$(id_of first)
    began=$SECONDS
    check "it stops when it is told to" stops second
    check "in peace" has_ended_in_peace second
    check "and in less than 4 s" test $((SECONDS - began)) -lt 4
    engine rm second >/dev/null
    stops first
    engine rm first >/dev/null
    start first --network none --volume first:/var/lib/dunlin dunlin
    check "a new container with the volume answers" within 30 answers first
    check "and is the same node" is_same "$id" "$(id_of first)"
    check "a variable with a mistake is refused" refuses --env DUNLIN_PORT=many dunlin
    if [ $failures = 0 ]; then echo "everything holds"; else echo "$failures did not hold"; fi
}

clean
bases
rm -rf "$work/source"
mkdir "$work/source"
(cd "$root" && git ls-files -z | tar --null --files-from - -c) | tar -C "$work/source" -x
if build -f "$work/source/packaging/docker/Dockerfile" -t dunlin "$work/source" >"$work/build.log" 2>&1; then
    echo "ok      the image is built${program:+, without compiling}: $(engine images --format '{{.Size}}' localhost/dunlin)"
else
    tail -n 20 "$work/build.log"
    echo "FAILED  the image is built"
    exit 1
fi
steps
exit $((failures > 0))
