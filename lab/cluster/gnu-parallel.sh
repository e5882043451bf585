#!/bin/bash
# A sweep over machines with GNU parallel: `./gnu-parallel.sh host1 host2 …`. The program has to be on
# the PATH of each; `:` stands for this machine.
set -euo pipefail

scenario=${SCENARIO:-torture}
seeds=${SEEDS:-10000}
shards=${SHARDS:-20}
hosts=$(IFS=,; echo "${*:-:}")
mkdir -p parts
seq "$shards" | parallel --sshlogin "$hosts" --jobs 1 --workdir ... --return parts/{} --cleanup \
    dunlin lab run "$scenario" --seeds "$seeds" --shard {}/"$shards" --out parts/{}
dunlin lab merge parts/*/ --out whole
