#!/usr/bin/env bash
# Replays every Verifpal model of this folder and compares the result with the one it must have:
#
#     docs/model/replay.sh [FILE.vp ...]
#
# Needs verifpal 1.6.7: cargo install --locked verifpal --version 1.6.7 --ignore-rust-version
set -euo pipefail
cd "$(dirname "$0")"

failed=0
while read -r file expected; do
    if [ $# -gt 0 ] && [[ " $* " != *" $file "* ]]; then
        continue
    fi
    found=$(verifpal verify --result-code "$file" | tail -n 1)
    if [ "$found" = "$expected" ]; then
        echo "ok      $file $found"
    else
        echo "WRONG   $file: $found instead of $expected"
        failed=1
    fi
done < results.txt

# A model without an expected result would be replayed by nobody.
for file in *.vp; do
    grep -q "^$file " results.txt || { echo "WRONG   $file is not in results.txt"; failed=1; }
done
exit $failed
