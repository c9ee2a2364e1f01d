#!/usr/bin/env bash
# Build the image, start it, and send it what client/check.py sends. It needs Docker.
set -euo pipefail
cd "$(dirname "$0")"
command -v docker >/dev/null || { echo "not run: there is no docker here"; exit 2; }
docker build --quiet --tag @{ image }@ . >/dev/null
container="$(docker run --detach --rm --read-only --tmpfs /tmp --cap-drop ALL --memory @{ memory_mib }@m@{ " --shm-size " ~ server.shared_memory_mib ~ "m" if server.shared_memory_mib else "" }@ --publish 127.0.0.1::@{ server.rest }@ @{ image }@)"
trap 'docker stop "$container" >/dev/null' EXIT
address="$(docker port "$container" @{ server.rest }@/tcp | head -n 1)"
for _ in $(seq 60); do
  if curl --silent --fail "http://$address@{ server.ready_path }@"@{ " | grep -q " ~ server.ready_word if server.ready_word else " >/dev/null" }@; then
    python3 client/check.py --url "http://$address"
    exit
  fi
  sleep 2
done
docker logs "$container" | tail -n 20
echo "the model was not there within two minutes"
exit 1
