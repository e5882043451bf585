#!/usr/bin/env bash
# Shows that the comparison of secrets takes no branch and no address from their bytes (docs/threats.md,
# T16), by the method of secret poisoning: https://www.imperialviolet.org/2010/04/01/ctgrind.html
#
#     session/constant-time/run.sh
#
# Needs valgrind with its headers, and a C compiler.
set -euo pipefail
cd "$(dirname "$0")"

target=${CARGO_TARGET_DIR:-../../target}
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cargo build -q -p dunlin-session --example compare_secrets
cc -O1 -shared -fPIC -o "$work/poison.so" poison.c

program=$(realpath "$target/debug/examples/compare_secrets")
failed=0

# 0: nothing was reported; 9: valgrind has reported something.
valgrind_run() {
    local status=0
    (cd "$work" && LD_PRELOAD="$work/poison.so" valgrind -q --error-exitcode=9 \
        "$program" "$1") >"$work/said" 2>&1 || status=$?
    echo "$status"
}

expect() {
    local status
    status=$(valgrind_run "$1")
    if [ "$status" = "$2" ]; then
        echo "ok      $1: $3"
    else
        echo "WRONG   $1: status $status instead of $2"
        cat "$work/said"
        failed=1
    fi
}

expect same_secret 0 "nothing depends on the secret"
expect early_exit 9 "control: a comparison that stops at the first difference is reported"
exit $failed
