#!/bin/sh
# Gives Muster a secret from HashiCorp Vault (KV). Install it as /etc/muster/bin/from-vault.
#
#   inventory.yaml:  credential_command: [/etc/muster/bin/from-vault, secret, ssh]
#   the worker:      MUSTER_CREDENTIAL_COMMANDS=/etc/muster/bin
#                    MUSTER_CREDENTIAL_COMMAND_ENV=VAULT_ADDR,VAULT_TOKEN
#   Vault:           vault kv put -mount=secret ssh/db01 password=… sudo_password=…
set -eu
mount=$1 path=$2
question=$(cat)
# Only plain words are taken from the question: what it says becomes part of a path.
word() { printf '%s' "$question" | sed -n "s/.*\"$1\":\"\([A-Za-z0-9_][A-Za-z0-9._-]*\)\".*/\1/p"; }
kind=$(word kind) host=$(word host)
[ -n "$kind" ] && [ -n "$host" ] || { echo 'the question names no kind or no host' >&2; exit 64; }
exec vault kv get -mount="$mount" -field="$kind" "$path/$host"
