#!/usr/bin/env bash
# Measure the first board again, and put it into a new leaderboard.
#
#     leaderboard/measure.sh DATASETS_DIR NEW_LEADERBOARD [MODEL...]
#
# DATASETS_DIR holds ARC-Easy, PIQA, BLiMP, GSM8K and WikiText-2 in the hub's layout. Long texts, long answers and large
# vocabularies (Gemma's is five times SmolLM2's) are what takes time on a CPU, so there are fewer documents of these. What
# is measured in one run is one bundle.
set -euo pipefail
DATASETS=$1 BOARD=$2
shift 2
[ $# -gt 0 ] || set -- smollm2-135m smollm2-135m-joint gemma3-270m
EEBENCH=${EEBENCH:-eebench}
BLIMP=blimp_anaphor_gender_agreement,blimp_anaphor_number_agreement,blimp_determiner_noun_agreement_1
BLIMP+=,blimp_irregular_past_participle_verbs,blimp_npi_present_1,blimp_passive_1
BLIMP+=,blimp_regular_plural_subject_verb_agreement_1,blimp_wh_island
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export EEBENCH_DB=${EEBENCH_DB:-$WORK/board.db}

measure() { # the name of a bundle, and what to run
    local bundle=$WORK/$1
    shift
    $EEBENCH run --datasets-dir "$DATASETS" "$@"
    $EEBENCH export --best -o "$bundle"
    $EEBENCH leaderboard add "$bundle" --into "$BOARD"
}

for model in "$@"; do
    measure "$model-own" -m "$model"
    measure "$model-choices" -m "$model" -t arc_easy,piqa --limit 200
    measure "$model-blimp" -m "$model" -t "$BLIMP" --limit "$([ "$model" = gemma3-270m ] && echo 100 || echo 200)"
    measure "$model-wikitext" -m "$model" -t wikitext --limit 6
    measure "$model-written" -m "$model" -t eebench_generation --limit 12
    measure "$model-gsm8k" -m "$model" -t gsm8k --num-fewshot 0 --limit 8 --max-gen-toks 16
done
