#!/usr/bin/env bash
# Serve the model on Google's Vertex AI, in the bundle's own image.
#   clouds/vertex_ai.sh REGION IMAGE [MACHINE_TYPE]
# IMAGE is this bundle's, pushed to Artifact Registry. The `gcloud` command must be logged in, with its project set.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
  sed -n 2,4p clouds/vertex_ai.sh >&2
  exit 2
fi
region="$1" image="$2" machine="${3:-n1-standard-2}"
name="@{ name }@-@{ version }@"
id_of() { # the newest model or endpoint of a name
  gcloud ai "$1" list --region="$region" --filter="displayName=$2" --sort-by=~createTime --limit=1 --format='value(name)'
}
gcloud ai models upload --region="$region" --display-name="$name" --container-image-uri="$image" \
  --container-ports=@{ server.rest }@ --container-predict-route=/v1/models/@{ name }@:predict --container-health-route=/v1/models/@{ name }@
endpoint="$(id_of endpoints "@{ name }@")"
if [ -z "$endpoint" ]; then
  gcloud ai endpoints create --region="$region" --display-name="@{ name }@"
  endpoint="$(id_of endpoints "@{ name }@")"
fi
gcloud ai endpoints deploy-model "$endpoint" --region="$region" --model="$(id_of models "$name")" --display-name="$name" \
  --machine-type="$machine" --min-replica-count=1 --max-replica-count=2 --traffic-split=0=100
echo "$endpoint serves version @{ version }@. Its body is that of TensorFlow Serving: {\"instances\": [...]}."
