#!/usr/bin/env bash
# Training pairs from thousands of studies; see README.md.
set -euo pipefail

usage="usage: cohort_pairs.sh STUDIES OUT"
studies=${1:?$usage}
out=${2:?$usage}
simulate=${SIMULATE:-default}
seed=${SEED:-0}
read -ra batch <<<"${BATCH:-}"
read -ra ctdenoise <<<"${CTDENOISE:-ctdenoise}"
changes=()
for change in ${SIMULATE_SET:-}; do
    changes+=(--set "$change")
done
if [[ -n ${DOSES:-} ]]; then
    changes+=(--set "dose=[${DOSES// /, }]")
fi

if [[ -d $studies ]]; then
    sources=(--below "$studies" --depth "${DEPTH:-1}")
else
    sources=(--studies "$studies")
fi

# Code 4: some studies failed and the others are whole. What is wrong with their files does not
# pass, so the cohort is what there is; the table says which are missing.
code=0
"${ctdenoise[@]}" batch simulate "${sources[@]}" --out "$out" --config "$simulate" --seed "$seed" \
    "${batch[@]+"${batch[@]}"}" "${changes[@]+"${changes[@]}"}" || code=$?
if ((code == 4)) && [[ -z ${STRICT:-} ]]; then
    code=0
fi
exit "$code"
