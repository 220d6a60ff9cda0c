#!/bin/sh
# Gives Muster a secret from 1Password. Install it as /etc/muster/bin/from-op.
#
#   inventory.yaml:  credential_command: [/etc/muster/bin/from-op, Servers]
#   the worker:      MUSTER_CREDENTIAL_COMMANDS=/etc/muster/bin
#                    MUSTER_CREDENTIAL_COMMAND_ENV=OP_SERVICE_ACCOUNT_TOKEN
#   1Password:       the vault "Servers" has an item db01 with the fields password and sudo_password
set -eu
vault=$1
question=$(cat)
# Only plain words are taken from the question: what it says becomes part of a path.
word() { printf '%s' "$question" | sed -n "s/.*\"$1\":\"\([A-Za-z0-9_][A-Za-z0-9._-]*\)\".*/\1/p"; }
kind=$(word kind) host=$(word host)
[ -n "$kind" ] && [ -n "$host" ] || { echo 'the question names no kind or no host' >&2; exit 64; }
exec op read --no-newline "op://$vault/$host/$kind"
