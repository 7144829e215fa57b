#!/usr/bin/env bash
# A whole experiment on phantoms with the command line alone; see README.md.
set -euo pipefail

out=${1:?usage: whole_experiment.sh OUT}
train_patients=${TRAIN_PATIENTS:-16}
test_patients=${TEST_PATIENTS:-2}
read -ra doses <<<"${DOSES:-0.25 0.1}"
phantom=${PHANTOM:-torso}
simulate=${SIMULATE:-phantom}
train=${TRAIN:-redcnn}
read -ra ctdenoise <<<"${CTDENOISE:-ctdenoise}"

each_dose=()
for dose in "${doses[@]}"; do
    each_dose+=(--dose "$dose")
done

# One step makes one folder, whole or not at all, so a folder that is there is done.
step() {
    local folder=$1
    shift
    if [[ ! -e $folder ]]; then
        "$@" --out "$folder"
    fi
}

study() { # seed
    step "$out/patients/$1" "${ctdenoise[@]}" phantom torso --config "$phantom" --seed "$1"
}

for ((seed = 1; seed <= train_patients; seed++)); do
    study "$seed"
    step "$out/pairs/$seed" "${ctdenoise[@]}" simulate "$out/patients/$seed" --config "$simulate" \
        --labels "$out/patients/$seed/labels.nii" --seed "$seed" \
        "${each_dose[@]}"
done

if [[ -e $out/model ]]; then # a finished run ends at once, a stopped one goes on as it was
    "${ctdenoise[@]}" train "$out/pairs" --config "$out/model/settings.yaml" --out "$out/model" --resume
else
    "${ctdenoise[@]}" train "$out/pairs" --config "$train" --out "$out/model"
fi

for ((number = 1; number <= test_patients; number++)); do
    seed=$((1000 + number))
    study "$seed"
    for dose in "${doses[@]}"; do
        here=$out/test/$seed/dose_$dose
        step "$here/low" "${ctdenoise[@]}" simulate "$out/patients/$seed" --config "$simulate" \
            --dose "$dose" --format dicom --seed "$seed"
        step "$here/denoised" "${ctdenoise[@]}" infer "$here/low" --model "$out/model"
        step "$here/report" "${ctdenoise[@]}" evaluate "$out/patients/$seed" "$here/low" \
            "$here/denoised" --names "low dose" --names denoised
    done
done
