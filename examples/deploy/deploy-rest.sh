#!/bin/sh
# The deploy with curl alone, for a CI image without Node: deploy-rest.sh 2.4.1
# Needs MUSTER_URL and MUSTER_API_KEY. Ends with 0 only if every host succeeded.
set -eu
version=$1

muster() { # muster METHOD PATH [curl options]
  method=$1 path=$2
  shift 2
  # The key comes on stdin: arguments can be read by every user of the machine.
  printf 'header = "Authorization: Bearer %s"\n' "$MUSTER_API_KEY" |
    curl --silent --show-error --fail-with-body --config - --request "$method" "$@" "$MUSTER_URL$path"
}
# The first field of that name; use jq if your image has it.
field() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

job=$(muster POST /v1/jobs \
  --header 'Content-Type: application/json' \
  --header "Idempotency-Key: deploy-$version-${CI_PIPELINE_ID:-by-hand-$$}" \
  --data "{
    \"targets\": \"@web\", \"canary\": 1, \"title\": \"deploy $version\",
    \"command\": \"${DEPLOY_COMMAND:-/opt/shop/release $version}\"
  }" | field job_id)
echo "$job"

# Each call waits for up to 45 s, so this loop makes few of them. A call that fails ends the script, not the job.
while :; do
  report=$(muster GET "/v1/jobs/$job?wait_s=45")
  state=$(echo "$report" | field state)
  case $state in
    succeeded) echo "deployed $version"; exit 0 ;;
    partial | failed | cancelled) echo "$report" >&2; exit 1 ;;
  esac
done
