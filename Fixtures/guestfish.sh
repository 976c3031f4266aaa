# Starts guestfish, which writes into images what no program does without a mount.
# shellcheck shell=bash

# guestfish_with SCRIPT OPTION…: carries out the commands in SCRIPT, where a key stands in the line
# after the command that needs it. Where KVM is there and fails, once more without it.
guestfish_with() {
    local script=$1 said
    shift
    for settings in '' force_tcg; do
        if said=$(LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=$settings \
            guestfish --keys-from-stdin "$@" -f "$script" 2>&1); then
            return
        fi
        case $said in *'guestfs_launch failed'*) ;; *) break ;; esac
    done
    printf '%s\nfailed: guestfish -f %s\n' "$said" "$script" >&2
    return 1
}
