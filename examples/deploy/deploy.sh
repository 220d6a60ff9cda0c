#!/bin/sh
# Deploys a release to the web servers, from CI: deploy.sh 2.4.1 [more flags for `muster run`]
# MUSTER_URL and MUSTER_API_KEY say where the server is. The exit status of `muster run` fails the pipeline:
# 0 only if every host succeeded.
set -eu
version=$1
shift

# --canary 1      one host first; if it goes wrong, no other host is touched
# --health-check  the release counts as good where it answers, not where it was copied
# --idempotency-key
#                 a pipeline step that is retried after a lost connection finds the same job, and deploys nothing twice
exec muster run @web \
  --title "deploy $version" \
  --idempotency-key "deploy-$version-${CI_PIPELINE_ID:-by-hand-$$}" \
  --canary 1 \
  --health-check "${HEALTH_CHECK:-curl -fsS http://localhost/health}" \
  "$@" \
  --script "$(dirname "$0")/release.sh" -- "$version"
