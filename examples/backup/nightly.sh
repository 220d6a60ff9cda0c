#!/bin/sh
# Backs up every host with the label backup=nightly. Once a night, from cron:
#   15 2 * * *  muster  /opt/shop/backup/nightly.sh
# More flags for `muster run` may follow. cron mails what is printed, so a good night prints nothing.
set -u

# --idempotency-key  two machines with this line in their crontab make one backup a night
# --durable          the dump goes on, and its true result arrives, while workers are updated or the network is away
# --concurrency 2    the backups share a disk
report=$(muster run '{backup=nightly}' \
  --title nightly-backup \
  --idempotency-key "backup-$(date +%F)" \
  --durable \
  --concurrency 2 \
  --exec-timeout-s 14400 \
  "$@" \
  --script "$(dirname "$0")/backup.sh" 2>&1)
status=$?

# 5 is "lost": nobody knows whether that backup is whole. Look before you run it again.
[ "$status" -eq 0 ] || printf '%s\n' "$report"
exit "$status"
