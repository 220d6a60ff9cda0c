#!/bin/sh
# Gives Muster a secret from a file that SOPS has encrypted. Install it as /etc/muster/bin/from-sops.
#
#   inventory.yaml:  credential_command: [/etc/muster/bin/from-sops, /etc/muster/secrets.yaml]
#   the worker:      MUSTER_CREDENTIAL_COMMANDS=/etc/muster/bin
#                    MUSTER_CREDENTIAL_COMMAND_ENV=SOPS_AGE_KEY_FILE
#   the file:        db01: { password: …, sudo_password: … }
set -eu
file=$1
question=$(cat)
# Only plain words are taken from the question: what it says becomes part of an expression.
word() { printf '%s' "$question" | sed -n "s/.*\"$1\":\"\([A-Za-z0-9_][A-Za-z0-9._-]*\)\".*/\1/p"; }
kind=$(word kind) host=$(word host)
[ -n "$kind" ] && [ -n "$host" ] || { echo 'the question names no kind or no host' >&2; exit 64; }
exec sops decrypt --extract "[\"$host\"][\"$kind\"]" "$file"
