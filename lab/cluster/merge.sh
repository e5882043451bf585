#!/bin/bash
# Joins what the parts wrote below parts/ into whole/.
set -euo pipefail
dunlin lab merge parts/*/ --out whole
