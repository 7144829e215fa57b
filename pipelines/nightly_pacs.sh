#!/usr/bin/env bash
# Yesterday's CT studies of a PACS, denoised and sent back; see README.md.
set -euo pipefail
umask 077

work=${1:?usage: nightly_pacs.sh FOLDER}
source=${SOURCE:?where studies come from: a peer of the settings, or dimse://TITLE@host:port}
destination=${DESTINATION:-$source}
model=${MODEL:?what denoises: a checkpoint, a folder that train made, or a filter}
days=${DAYS:-3}
most=${MOST:-2000}
read -ra ctdenoise <<<"${CTDENOISE:-ctdenoise}"
read -ra batch <<<"${BATCH:-}"
peers=()
if [[ -n ${PEERS:-} ]]; then
    peers=(--config "$PEERS")
fi
infer=(--config "${INFER:-default}" --set checks.on_error=stop)
for change in ${INFER_SET:-}; do
    infer+=(--set "$change")
done

worst=0 # the outcome that a person should hear of
note() {
    if (($1 > worst)); then
        worst=$1
    fi
}

say() {
    printf '%(%F %T)T %s\n' -1 "$*"
}

run() { # stopped by a signal or told of wrong settings, the night ends; other failures are counted
    local code=0
    "${ctdenoise[@]}" "$@" || code=$?
    case $code in
        0) return 0 ;;
        2 | 12[89] | 1[3-9]?) exit "$code" ;;
        *) return "$code" ;;
    esac
}

# Every line is the UID of a study; a folder is named by its digest, as a UID can lead to a patient.
digest() {
    printf %s "$1" | sha256sum | cut -c 1-16
}

find_studies() { # day, folder
    if [[ -e $2/found ]]; then
        return 0
    fi
    run pacs find "$source" --modality CT --date "$1" --limit "$most" --json \
        "${peers[@]+"${peers[@]}"}" >"$2/found.json" || return $?
    sed -n 's/^.*"StudyInstanceUID": *"\([0-9.]*\)".*$/\1/p' "$2/found.json" >"$2/found.new"
    rm "$2/found.json"
    if (($(wc -l <"$2/found.new") >= most)); then
        say "There are $most studies or more; give a larger MOST."
        return 4
    fi
    mv "$2/found.new" "$2/found"
}

get_studies() { # folder
    local uid place code=0
    while read -r uid; do
        place=$1/studies/$(digest "$uid")
        if [[ ! -e $place ]]; then
            run pacs get "$source" --study "$uid" --out "$place" "${peers[@]+"${peers[@]}"}" \
                </dev/null || code=$?
        fi
    done <"$1/found"
    return "$code"
}

send_results() { # folder
    local place name code=0 failed
    for place in "$1"/results/studies/*/; do
        name=$(basename "$place")
        if [[ -d $place && ! -e $1/sent/$name ]]; then
            failed=0
            run pacs send "$place" --to "$destination" "${peers[@]+"${peers[@]}"}" || failed=$?
            if ((failed == 0)); then
                : >"$1/sent/$name"
            else
                code=$failed
            fi
        fi
    done
    return "$code"
}

# Each step leaves what it did behind, so that the next night goes on where this one was stopped.
one_day() { # day
    local folder=$work/$1 got=0 made=0 sent=0 failed=0
    if [[ -e $folder/done ]]; then
        return 0
    fi
    mkdir -p "$folder/studies" "$folder/sent"
    find_studies "$1" "$folder" || { failed=$? && note "$failed" && say "$1: not listed." && return 0; }
    say "$1: $(wc -l <"$folder/found") CT studies."
    if [[ -s $folder/found ]]; then
        get_studies "$folder" || got=$?
        if [[ -n $(ls -A "$folder/studies") ]]; then
            run batch infer --below "$folder/studies" --out "$folder/results" --model "$model" \
                "${infer[@]}" "${batch[@]+"${batch[@]}"}" || made=$?
            send_results "$folder" || sent=$?
        fi
    fi
    note "$got" && note "$made" && note "$sent"
    # Code 4: some studies cannot be used, and trying again would not help.
    if ((got == 0 && sent == 0 && (made == 0 || made == 4))); then
        rm -rf "$folder/studies" "$folder/results/studies"
        : >"$folder/done"
        say "$1: done."
    else
        say "$1: not all of it; what is missing is tried again the next time."
    fi
}

main() {
    local ago
    for ((ago = days; ago >= 1; ago--)); do
        one_day "${DAY:-$(date -d "$ago days ago" +%Y%m%d)}"
        if [[ -n ${DAY:-} ]]; then
            break
        fi
    done
    find "$work" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*' -mtime +"${KEEP_DAYS:-30}" \
        -exec rm -rf {} +
    say "Ended with code $worst."
    exit "$worst"
}

mkdir -p "$work"
exec 9>"$work/lock"
if ! flock -n 9; then
    echo "The job of another night is still running in $work." >&2
    exit 75
fi
main 2>&1 9>&- | tee -a "$work/log"
exit "${PIPESTATUS[0]}"
