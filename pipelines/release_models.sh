#!/usr/bin/env bash
# The released models, from phantoms and real series to weights with their cards; see README.md.
set -euo pipefail

usage="usage: release_models.sh TESTDATA OUT"
testdata=${1:?$usage}
out=${2:?$usage}
series=${SERIES:-siemens_chest ge_abdomen philips_chest}
phantoms=${PHANTOMS:-260}
seed=${SEED:-20261}
models=${MODELS:-fast redcnn}
folds=${FOLDS:-$series}
narrow=${NARROW:-32}
read -ra ctdenoise <<<"${CTDENOISE:-ctdenoise}"

# Runs a step unless its result is there.
step() { # RESULT COMMAND...
    local result=$1
    shift
    if [[ ! -e $result ]]; then
        "${ctdenoise[@]}" "$@" --out "$result"
    fi
}

# Trains, or goes on with a training that was stopped.
learn() { # RESULT CONFIG CHANGES PAIRS...
    local result=$1 config=$2 options=() change
    for change in $3 ${TRAIN_SET:-}; do
        options+=(--set "$change")
    done
    shift 3
    if [[ ! -e $result ]]; then
        "${ctdenoise[@]}" train "$@" --config "$config" --seed "$seed" --out "$result" \
            "${options[@]}"
    elif ! grep -qs '"stopped": "finished"' "$result/run.json"; then
        "${ctdenoise[@]}" train "$@" --config "$result/settings.yaml" --seed "$seed" \
            --out "$result" --resume
    fi
}

# Every pair of the real series but those of one, in three kernels.
real_but() { # HELD_OUT
    local name kernel
    for name in $series; do
        if [[ $name != "$1" ]]; then
            for kernel in auto smooth sharp; do
                printf '%s\n' "$out/pairs/$name/$kernel"
            done
        fi
    done
}

# 1. Phantoms with a kernel, a field of view, a thickness and a dose of their own. Six of them judge.
if [[ ! -e $out/phantoms ]]; then
    "${ctdenoise[@]}" phantom sample --count "$phantoms" --pairs --seed "$seed" \
        --out "$out/phantoms" --set slices=3 --set "dose=[0.05,0.5]"
fi
keys=
for number in ${JUDGES:-00009 00057 00101 00148 00200 00251}; do
    pair=$out/phantoms/$number/pair/pair.json
    keys+=${keys:+,}$(sed -n 's/.*"patient_key": "\(.*\)".*/\1/p' "$pair")
done
judged_by="validation.patients=[$keys]"

# 2. Real series, with the noise of their own kernel, of a soft one and of a sharp one.
for name in $series; do
    step "$out/pairs/$name/auto" simulate "$testdata/series/$name" --dose 0.25 --seed 1
    step "$out/pairs/$name/smooth" simulate "$testdata/series/$name" --dose 0.25 --seed 2 --kernel 0.3
    step "$out/pairs/$name/sharp" simulate "$testdata/series/$name" --dose 0.25 --seed 3 --kernel 0.7
done

# 3. `fast`: first phantoms alone, so that what comes next can leave any patient out; then patients too.
if [[ $models == *fast* ]]; then
    learn "$out/fast_base" release_fast "$judged_by" "$out/phantoms"
    from="init.from=$out/fast_base"
    mapfile -t pairs < <(real_but nobody)
    learn "$out/fast" release_fast_mixture "$judged_by $from" "$out/phantoms" "${pairs[@]}"
    for name in $folds; do
        mapfile -t pairs < <(real_but "$name")
        learn "$out/folds/$name" release_fast_mixture "$judged_by $from" "$out/phantoms" \
            "${pairs[@]}"
    done
fi

# 4. `redcnn`: narrow first, which learns from seven times as many patches in a second; then widened.
if [[ $models == *redcnn* ]]; then
    learn "$out/redcnn_narrow" release_redcnn \
        "$judged_by network.channels=$narrow ${NARROW_SET:-}" \
        "$out/phantoms"
    mapfile -t pairs < <(real_but nobody)
    learn "$out/redcnn" release_redcnn_mixture \
        "$judged_by init.from=$out/redcnn_narrow init.widen=true" "$out/phantoms" "${pairs[@]}"
fi
