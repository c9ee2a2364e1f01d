#!/usr/bin/env bash
# Serve the model on Amazon SageMaker, in AWS's own image of TensorFlow Serving.
#   clouds/sagemaker.sh BUCKET ROLE_ARN IMAGE [INSTANCE_TYPE]
# IMAGE is a tensorflow-inference image of your region, for SageMaker; AWS lists them under "Deep Learning Containers".
# ROLE_ARN is the role that SageMaker takes on. The `aws` command must be logged in, with its region set.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -lt 3 ] || [ $# -gt 4 ]; then
  sed -n 2,5p clouds/sagemaker.sh >&2
  exit 2
fi
bucket="$1" role="$2" image="$3" instance="${4:-ml.c5.large}"
name="@{ name }@-@{ version }@"
place="s3://$bucket/$name/model.tar.gz"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
tar --create --gzip --file "$folder/model.tar.gz" --directory models "@{ name }@/@{ version }@"
aws s3 cp --only-show-errors "$folder/model.tar.gz" "$place"
aws sagemaker create-model --model-name "$name" --execution-role-arn "$role" \
  --primary-container "Image=$image,ModelDataUrl=$place" >/dev/null
aws sagemaker create-endpoint-config --endpoint-config-name "$name" \
  --production-variants "VariantName=stable,ModelName=$name,InstanceType=$instance,InitialInstanceCount=1" >/dev/null
if aws sagemaker describe-endpoint --endpoint-name "@{ name }@" >/dev/null 2>&1; then
  aws sagemaker update-endpoint --endpoint-name "@{ name }@" --endpoint-config-name "$name" >/dev/null
else
  aws sagemaker create-endpoint --endpoint-name "@{ name }@" --endpoint-config-name "$name" >/dev/null
fi
aws sagemaker wait endpoint-in-service --endpoint-name "@{ name }@"
echo "@{ name }@ serves version @{ version }@. Its body is that of TensorFlow Serving: {\"instances\": [...]}."
echo "Back: aws sagemaker update-endpoint --endpoint-name @{ name }@ --endpoint-config-name NAME-OLDER_VERSION"
