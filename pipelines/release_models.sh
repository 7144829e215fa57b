#!/usr/bin/env bash
# The released models, from phantoms and real series to weights with their cards; see README.md.
set -euo pipefail

usage="usage: release_models.sh TESTDATA OUT"
testdata=${1:?$usage}
out=${2:?$usage}
series=${SERIES:-siemens_chest ge_abdomen philips_chest}
phantoms=${PHANTOMS:-260}
apart=${APART:-230}
seed=${SEED:-20261}
models=${MODELS:-fast redcnn}
folds=${FOLDS-$series}
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

# Pairs of the real series but that of one.
real_but() { # HELD_OUT
    local name
    for name in $series; do
        if [[ $name != "$1" ]]; then
            printf '%s\n' "$out/pairs/$name"
        fi
    done
}

# The three parts of a model; the last one again without each patient, where one asks for it.
train_model() { # NAME CONFIG
    local name=$1 config=$2 held pairs
    learn "$out/${name}_base" "$config" "$judged_by" "$out/phantoms"
    learn "$out/${name}_apart" "${config}_apart" "$judged_by init.from=$out/${name}_base" \
        "$out/phantoms_apart" "${judges[@]}"
    mapfile -t pairs < <(real_but nobody)
    learn "$out/$name" "${config}_mixture" "$judged_by init.from=$out/${name}_apart" \
        "$out/phantoms" "${pairs[@]}"
    for held in $folds; do
        mapfile -t pairs < <(real_but "$held")
        learn "$out/folds/${name}_$held" "${config}_mixture" \
            "$judged_by init.from=$out/${name}_apart" "$out/phantoms" "${pairs[@]}"
    done
}

# 1. Phantoms with a kernel, a field of view, a thickness and a dose of their own. Six of them judge.
if [[ ! -e $out/phantoms ]]; then
    "${ctdenoise[@]}" phantom sample --count "$phantoms" --pairs --seed "$seed" \
        --out "$out/phantoms" --set slices=3 --set "dose=[0.05,0.5]"
fi
keys=
judges=()
for number in ${JUDGES:-00009 00057 00101 00148 00200 00251}; do
    judges+=("$out/phantoms/$number/pair")
    keys+=${keys:+,}$(sed -n 's/.*"patient_key": "\(.*\)".*/\1/p' "${judges[-1]}/pair.json")
done
judged_by="validation.patients=[$keys]"

# 2. Others, whose slices lie far apart: each shows another anatomy.
if [[ ! -e $out/phantoms_apart ]]; then
    "${ctdenoise[@]}" phantom sample --count "$apart" --pairs --seed "$((seed + 1))" \
        --out "$out/phantoms_apart" --set slices=8 --set slices_apart_mm=12 \
        --set "dose=[0.05,0.5]" --set mixture.dead_leaves=0.4 --set mixture.test_object=0.1
fi

# 3. Real series, with the noise of their own kernel: their own noise can be taken out of it alone.
for name in $series; do
    step "$out/pairs/$name" simulate "$testdata/series/$name" --dose 0.25 --seed 1
done

# 4. The models: phantoms alone first, so that what comes last can leave any patient out.
for name in $models; do
    train_model "$name" "release_$name"
done
