# What runs on each host.
set -eu
umask 077
target=${BACKUP_TARGET:-/var/backups/shop}
mkdir -p "$target"

# Written under another name first: half an archive never looks like a backup.
part="$target/part.$$"
trap 'rm -f "$part"' EXIT
tar -czf "$part" -C "${BACKUP_SOURCE:-/srv/shop}" .
mv "$part" "$target/$(date +%F).tar.gz"
echo "backed up"
