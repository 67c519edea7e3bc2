#!/bin/sh
# The whole way once, on the sample database: nothing but this folder is needed, no account and no network.
# usage: demo/demo.sh [folder with the migrator command]
set -eu
cd "$(dirname "$0")/.."
[ $# -eq 0 ] || PATH="$(cd "$1" && pwd):$PATH"

step() {
    printf '\n──── %s\n$ %s\n\n' "$1" "$2"
    # Exit code 1 of migrator means done, with rejected rows named: a result to look at. Python ends a script that failed with it.
    sh -c "$2" || { [ $? -eq 1 ] && [ "${2#migrator }" != "$2" ]; }
}

step "What is in the file?" "migrator analyze fixtures/madmall.sqlite"
step "What would the migration do?" "migrator run plans/madmall.yaml --local --dry-run"
step "Do it." "migrator run plans/madmall.yaml --local"
step "Is every row there, and nothing else?" "migrator verify plans/madmall.yaml --local"
step "What do the items look like?" "python demo/items.py plans/madmall.yaml"
