#!/usr/bin/env bash
# A training by several processes, on one machine or several; see README.md.
set -euo pipefail

usage="usage: torchrun.sh PAIRS OUT"
pairs=${1:?$usage}
out=${2:?$usage}
train=${TRAIN:-redcnn}
seed=${SEED:-0}
nodes=${NODES:-1}
read -ra launcher <<<"${LAUNCHER:-}"
read -ra torchrun <<<"${TORCHRUN:-torchrun}"
changes=()
for change in ${TRAIN_SET:-}; do
    changes+=(--set "$change")
done

placing=(--nproc-per-node "${PROCESSES:-gpu}")
if ((nodes == 1)); then
    placing+=(--standalone)
else
    placing+=(--nnodes "$nodes" --rdzv-backend c10d --rdzv-id "${RUN_ID:-ctdenoise}"
        --rdzv-endpoint "${RENDEZVOUS:?several nodes meet at RENDEZVOUS=host:port}")
fi

# Whether a run goes on is decided here, once for all processes.
if [[ ! -e $out ]]; then
    run=(--config "$train" --seed "$seed" "${changes[@]+"${changes[@]}"}")
elif grep -qs '"stopped": "finished"' "$out/run.json"; then
    echo "$out is finished." >&2
    exit 0
else
    run=(--config "$out/settings.yaml" --seed "$seed" --resume)
fi
exec "${launcher[@]+"${launcher[@]}"}" "${torchrun[@]}" "${placing[@]}" \
    -m ctdenoise train "$pairs" --out "$out" "${run[@]}"
