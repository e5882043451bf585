#!/bin/bash
# A sweep as a Slurm array: `sbatch slurm-array.sh`, then merge.sh when all parts are there.
#SBATCH --job-name=dunlin-lab
#SBATCH --array=1-20
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00
set -euo pipefail

scenario=${SCENARIO:-torture}
seeds=${SEEDS:-10000}
dunlin lab run "$scenario" --seeds "$seeds" \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    --threads "${SLURM_CPUS_PER_TASK:-1}" \
    --out "parts/$SLURM_ARRAY_TASK_ID"
