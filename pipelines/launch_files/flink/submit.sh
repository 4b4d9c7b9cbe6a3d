#!/bin/sh
# Launches a configuration on a Flink cluster, through Beam's job server:  submit.sh config.yml [BEAM FLAGS]
#
#   JOB_ENDPOINT   where the job server listens (localhost:8099)
#   WORKER_POOL    where a TaskManager finds its workers (localhost:50000: a pool beside each TaskManager)
#   SAVEPOINT      the address of a savepoint or of a retained checkpoint to go on from; nothing for a first launch
#   DUOLOGSYNC     the command (duologsync)
#
# What the flags are for is in docs/flink.md. Give the flags that can differ behind the configuration; the last one counts.
set -eu

config=${1:?"usage: submit.sh config.yml [BEAM FLAGS]"}
shift

exec ${DUOLOGSYNC:-duologsync} run "$config" -- \
    --runner=PortableRunner \
    --job_endpoint="${JOB_ENDPOINT:-localhost:8099}" \
    --environment_type=EXTERNAL \
    --environment_config="${WORKER_POOL:-localhost:50000}" \
    --job_name=duologsync \
    --streaming \
    --parallelism=1 \
    --checkpointing_interval=10000 \
    --externalized_checkpoints_enabled \
    --retain_externalized_checkpoints_on_cancellation \
    --max_bundle_time_mills=100 \
    --finish_bundle_before_checkpointing \
    ${SAVEPOINT:+--savepoint_path="$SAVEPOINT"} \
    "$@"
