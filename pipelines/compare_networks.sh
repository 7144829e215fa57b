#!/usr/bin/env bash
# Every network on the same small budget, and how they compare; see README.md.
set -euo pipefail

usage="usage: compare_networks.sh PAIRS TEST_PAIRS OUT"
pairs=${1:?$usage}
test_pairs=${2:?$usage}
out=${3:?$usage}
networks=${NETWORKS:-cnn4 redcnn compact unet dsc rednet10 rednet20 rednet30 denoisenet \
    autoencoder_convolutional autoencoder_variational autoencoder_dense csc wavresnet}
seed=${SEED:-1}
read -ra ctdenoise <<<"${CTDENOISE:-ctdenoise}"
changes=(--set threads=1)
if [[ -n ${HELD_OUT:-} ]]; then
    changes+=(--set "validation.patients=[\"$HELD_OUT\"]")
fi
for change in ${TRAIN_SET:-}; do
    changes+=(--set "$change")
done
judging=(--set threads=1)
for change in ${COMPARE_SET:-}; do
    judging+=(--set "$change")
done

# Settings of a network beyond the common ones.
own() { # network
    case $1 in
        rednet10) echo network.name=rednet ;;
        rednet20) echo network.name=rednet network.layers=20 ;;
        rednet30) echo network.name=rednet network.layers=30 ;;
        autoencoder_convolutional) echo network.name=autoencoder network.kind=convolutional \
            network.code=64 network.hidden=64 ;;
        autoencoder_variational) echo network.name=autoencoder network.kind=variational \
            network.code=64 network.hidden=64 ;;
        # It takes patches of multiples of 28: about as many pixels in a step as the others.
        autoencoder_dense) echo network.name=autoencoder patches.size=56 batch_size=10 ;;
        # Half the width of the paper, which would train for half an hour on one core.
        wavresnet) echo network.name=wavresnet network.channels=64 ;;
        *) echo "network.name=$1" ;;
    esac
}

models=()
for network in $networks; do
    folder=$out/models/$network
    if [[ ! -e $folder ]]; then
        own_changes=()
        for change in $(own "$network"); do
            own_changes+=(--set "$change")
        done
        "${ctdenoise[@]}" train "$pairs" --config small_budget --seed "$seed" --out "$folder" \
            "${changes[@]}" "${own_changes[@]}"
    elif ! grep -qs '"stopped": "finished"' "$folder/run.json"; then
        "${ctdenoise[@]}" train "$pairs" --config "$folder/settings.yaml" --seed "$seed" \
            --out "$folder" --resume
    fi
    models+=("$folder")
done

if [[ ! -e $out/page ]]; then
    # shellcheck disable=SC2086 # the list of names is meant to be split
    "${ctdenoise[@]}" compare "${models[@]}" --on "$test_pairs" --out "$out/page" \
        --names $networks --title "Every network on the same small budget" "${judging[@]}"
fi
