#!/usr/bin/env bash
# What each part of a network or of its training is worth, on phantoms; see README.md.
set -euo pipefail

out=${1:?usage: ablations.sh OUT}
ablations=${ABLATIONS:-skips mapping gates noise classes transfer wavelet coding segmentation losses}
read -ra seeds <<<"${SEEDS:-1 2 3}"
train_patients=${TRAIN_PATIENTS:-4}
test_patients=${TEST_PATIENTS:-2}
phantom=${PHANTOM:-torso_small}
read -ra ctdenoise <<<"${CTDENOISE:-ctdenoise}"
changes=()
for change in ${TRAIN_SET:-}; do
    changes+=(--set "$change")
done

# One step makes one folder, whole or not at all, so a folder that is there is done.
step() { # folder, command...
    local folder=$1
    shift
    if [[ ! -e $folder ]]; then
        "${ctdenoise[@]}" "$@" --out "$folder"
    fi
}

# The pairs of a region with a kind of noise: $out/pairs/REGION/NOISE/{train,test}/SEED.
pairs() { # region, name of the noise, settings of simulate, --set...
    local region=$1 noise=$2 config=$3 part seed first last
    shift 3
    for part in train test; do
        if [[ $part == train ]]; then first=1 last=$train_patients; fi
        if [[ $part == test ]]; then first=1001 last=$((1000 + test_patients)); fi
        for ((seed = first; seed <= last; seed++)); do
            patient "$region" "$seed"
            step "$out/pairs/$region/$noise/$part/$seed" simulate "$out/patients/$region/$seed" \
                --config "$config" --set source_noise=none "$@" \
                --labels "$out/patients/$region/$seed/labels.nii" --seed "$seed"
        done
    done
}

patient() { # region, seed
    local region=(--set grid.slice_spacing_mm=8)
    case $1 in
        torso) region=() ;; # from the liver to the lungs, as the settings have it
        chest) region+=(--set phantom.level_mm=105) ;;
        belly) region+=(--set phantom.level_mm=-80) ;;
    esac
    step "$out/patients/$1/$2" phantom torso --config "$phantom" --seed "$2" \
        "${region[@]+"${region[@]}"}"
}

# A finished run is left alone, a stopped one goes on as it was.
train() { # folder, pairs (separated by commas), settings, seed, --set...
    local folder=$1 config=$3 seed=$4 folders
    IFS=, read -ra folders <<<"$2"
    shift 4
    if [[ ! -e $folder ]]; then
        "${ctdenoise[@]}" train "${folders[@]}" --config "$config" --seed "$seed" "$@" \
            "${changes[@]+"${changes[@]}"}" --out "$folder"
    elif ! grep -qs '"stopped": "finished"' "$folder/run.json"; then
        "${ctdenoise[@]}" train "${folders[@]}" --config "$folder/settings.yaml" --seed "$seed" \
            --out "$folder" --resume
    fi
}

# A variant, trained once with every seed, to be shown on the next page. SEED in a change stands for
# the seed.
models=() names=() groups=()
variant() { # name, pairs, settings, --set...
    local name=$1 on=$2 config=$3 seed folder
    shift 3
    for seed in "${seeds[@]}"; do
        folder=$out/models/${name//[ ,]/_}/$seed
        train "$folder" "$on" "$config" "$seed" "${@//SEED/$seed}"
        models+=("$folder") names+=("$name, seed $seed") groups+=("$name")
    done
}

page() { # name, pairs to test on, title
    step "$out/pages/$1" compare "${models[@]}" --on "$2" --config ablations \
        --names "${names[@]}" --groups "${groups[@]}" --title "$3"
    models=() names=() groups=()
}

torso=$out/pairs/torso

skips() {
    local layers
    pairs torso dose default --dose 0.25
    for layers in 10 20 30; do
        variant "RED$layers" "$torso/dose/train" ablation_rednet --set "network.layers=$layers"
        variant "RED$layers without shortcuts" "$torso/dose/train" ablation_rednet \
            --set "network.layers=$layers" --set network.skips=false
    done
    page skips "$torso/dose/test" "Shortcuts of RED-Net, and its depth"
}

mapping() {
    pairs torso dose default --dose 0.25
    variant "RED10" "$torso/dose/train" ablation_rednet --set network.layers=10
    variant "RED10, direct" "$torso/dose/train" ablation_rednet --set network.layers=10 \
        --set network.residual=false
    variant "CNN4, residual" "$torso/dose/train" ablation_cnn4 --set network.residual=true
    variant "CNN4" "$torso/dose/train" ablation_cnn4
    page mapping "$torso/dose/test" "The change of the image against the image itself"
}

gates() {
    pairs torso dose default --dose 0.25
    variant "DSC" "$torso/dose/train" ablation_dsc
    variant "DSC without gates" "$torso/dose/train" ablation_dsc --set network.gated=false
    variant "DSC, direct" "$torso/dose/train" ablation_dsc --set network.residual=false
    variant "DSC without gates, direct" "$torso/dose/train" ablation_dsc \
        --set network.gated=false --set network.residual=false
    page gates "$torso/dose/test" "Gated and ungated connections"
}

noise() {
    # Where -1000 HU are 0 and 1000 HU are 1: variance 0.01, one pixel in ten lost, 0.1 cos(1.5 pi x)
    # with x in pixels of 1.6 mm.
    pairs torso gaussian gaussian_noise --set "degradations=[{name: gaussian, sigma_hu: 200}]"
    pairs torso pepper salt_and_pepper
    pairs torso periodic periodic_noise --set \
        "degradations=[{name: periodic, amplitude_hu: 200, period_mm: 2.1333, angle_degrees: 0}]"
    pairs torso poisson poisson_noise
    local kind trained
    for kind in gaussian pepper periodic poisson; do
        for trained in gaussian pepper periodic poisson; do
            variant "trained on $trained" "$torso/$trained/train" ablation
        done
        page "noise_$kind" "$torso/$kind/test" "Noise of one kind or another: $kind"
    done
}

classes() {
    local chest=$out/pairs/chest/poisson belly=$out/pairs/belly/poisson
    pairs chest poisson poisson_noise
    pairs belly poisson poisson_noise
    variant "chest" "$chest/train" ablation_denoisenet
    variant "chest and belly" "$chest/train,$belly/train" ablation_denoisenet
    variant "belly" "$belly/train" ablation_denoisenet
    page classes "$chest/test" "Poisson noise in the chest: trained on one class of image or on two"
}

transfer() {
    pairs torso clean no_noise
    pairs torso gaussian gaussian_noise --set "degradations=[{name: gaussian, sigma_hu: 200}]"
    variant "clean" "$torso/clean/train" ablation_autoencoder
    variant "clean, then noisy for a fifth" "$torso/gaussian/train" ablation_autoencoder \
        --set steps=200 --set "init.from=$out/models/clean/SEED"
    variant "noisy for a fifth" "$torso/gaussian/train" ablation_autoencoder --set steps=200
    variant "noisy" "$torso/gaussian/train" ablation_autoencoder
    page transfer "$torso/gaussian/test" "Trained on clean images first"
}

wavelet() {
    pairs torso dose default --dose 0.25
    pairs torso streaks streak_noise
    local kind
    for kind in dose streaks; do
        variant "sub-bands, $kind" "$torso/$kind/train" ablation_wavresnet
        variant "image, $kind" "$torso/$kind/train" ablation_wavresnet --set network.domain=image
        page "wavelet_$kind" "$torso/$kind/test" "Sub-bands against the image itself: $kind"
    done
}

coding() {
    pairs torso dose default --dose 0.25
    local steps
    for steps in 1 3 5; do
        variant "CSC, steps $steps" "$torso/dose/train" ablation_csc --set "network.steps=$steps"
    done
    page coding "$torso/dose/test" "Unrolled steps of convolutional sparse coding"
}

segmentation() {
    pairs torso dose default --dose 0.25
    variant "cross-entropy" "$torso/dose/train" ablation_segmentation \
        --set "loss.terms=[{name: mse, weight: 10000}, {name: cross_entropy}]"
    variant "Dice" "$torso/dose/train" ablation_segmentation \
        --set "loss.terms=[{name: mse, weight: 10000}, {name: dice}]"
    variant "both" "$torso/dose/train" ablation_segmentation
    page segmentation "$torso/dose/test" "Losses of a segmentation head"
}

losses() {
    pairs torso dose default --dose 0.25
    variant "MSE" "$torso/dose/train" ablation
    variant "MSE and perceptual" "$torso/dose/train" ablation \
        --set "loss.terms=[{name: mse}, {name: perceptual, weight: 1.0}]"
    variant "MSE and spectrum" "$torso/dose/train" ablation \
        --set "loss.terms=[{name: mse}, {name: spectrum, weight: 1e-5}]"
    variant "MSE and HU bias" "$torso/dose/train" ablation \
        --set "loss.terms=[{name: mse}, {name: hu_bias, weight: 1e-4}]"
    variant "L1" "$torso/dose/train" ablation --set "loss.terms=[{name: l1}]"
    page losses "$torso/dose/test" "Terms of the loss"
}

for ablation in $ablations; do
    "$ablation"
done
rm -rf "$out/results" # made of the pages alone, in a second
"${ctdenoise[@]}" summarise "$out"/pages/* --out "$out/results"
