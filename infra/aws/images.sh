#!/usr/bin/env bash
# Builds the workers' images out of what make build-aws has staged, and pushes
# them to the repositories of an environment's data stack.
#
#   images.sh ENVIRONMENT FOLDER
set -euo pipefail
env=$1 folder=$2
for tool in docker aws; do
	command -v "$tool" >/dev/null || { echo "$tool is not on the PATH; images are built with docker and pushed with the AWS CLI." >&2; exit 1; }
done
tag=$(cat "$folder/worker.tag")
account=$(aws sts get-caller-identity --query Account --output text)
region=${AWS_REGION:-$(aws configure get region)}
registry=$account.dkr.ecr.$region.amazonaws.com
aws ecr get-login-password --region "$region" | docker login --username AWS --password-stdin "$registry"
for agent in $(sed -n 's/^FROM base AS //p' "$folder/worker/Dockerfile"); do
	repository=outpost-$env-worker-$agent
	# Tags do not move: an image that is there is the one.
	if aws ecr describe-images --region "$region" --repository-name "$repository" --image-ids "imageTag=$tag" >/dev/null 2>&1; then
		echo "$repository:$tag is there."
		continue
	fi
	docker build --platform linux/amd64 --target "$agent" --tag "$registry/$repository:$tag" "$folder/worker"
	docker push "$registry/$repository:$tag"
done
