#!/usr/bin/env bash
#SBATCH --job-name=@{name}
#SBATCH --nodes=@{nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=@{cpus}
#SBATCH --mem=@{memory_gib}G
#SBATCH --time=@{minutes}
#SBATCH --output=@{log}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@@180
@{extra}
# Written by `rungwise submit`. SLURM runs this script again after a preemption; the run then
# continues from its last checkpoints. At its time limit SLURM would end the job for good: three
# minutes before, the run is asked to stop with checkpoints, and the job is queued again.
set -euo pipefail
@{setup}
export RUN=@{run} JOB=@{job}
# `ray symmetric-run` returns 0 even if Ray could not start, so a file marks success.
export MARK=$RUN.done-$SLURM_JOB_ID
rm -f "$MARK"

# On a busy node Ray needs more than its own 30 seconds to start.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$HOME/.rungwise/ray_token
if [ ! -s "$RAY_AUTH_TOKEN_PATH" ]; then
  mkdir -p "${RAY_AUTH_TOKEN_PATH%/*}"
  (umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH")
fi

# Ports depend on the job id, so that two jobs can share a node.
port=$((20000 + SLURM_JOB_ID % 2000 * 10))
if [ "$SLURM_JOB_NUM_NODES" = 1 ]; then
  head=127.0.0.1
else
  first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  head=$(getent ahostsv4 "$first" | awk 'NR == 1 { print $1 }')
fi
export ADDRESS=$head:$port

# When it ends, `ray symmetric-run` stops every Ray process that it can see: in a separate process
# namespace it sees those of this job only.
private="unshare --map-root-user --pid --fork --kill-child --mount-proc"
$private true || {
  echo "This node allows no process namespaces: add --exclusive and remove unshare from $0." >&2
  exit 1
}

requeue=
trap 'requeue=1; mkdir -p "$RUN/stop"; touch "$RUN/stop/job"' USR1
touch "$MARK.start"
srun --ntasks-per-node=1 $private ray symmetric-run \
  --address "$ADDRESS" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus @{cpus} --num-gpus @{gpus} --temp-dir "/tmp/rungwise-$SLURM_JOB_ID" \
  --ray-client-server-port $((port + 1)) --dashboard-port $((port + 2)) \
  --dashboard-agent-listen-port $((port + 3)) --dashboard-agent-grpc-port $((port + 4)) \
  --metrics-export-port $((port + 5)) --runtime-env-agent-port $((port + 6)) \
  --node-manager-port $((port + 7)) --object-manager-port $((port + 8)) \
  -- bash -c '
    if [ -s "$RUN/job.yaml" ]; then
      rungwise resume "$RUN" --address "$ADDRESS"
    else
      rungwise tune "$JOB" --out "$RUN" --address "$ADDRESS"
    fi && touch "$MARK"' &
step=$! status=0
# A signal ends `wait`, but not the step.
while kill -0 "$step" 2>/dev/null; do status=0; wait "$step" || status=$?; done
rm -rf "/tmp/rungwise-$SLURM_JOB_ID"
saved=$(find "$RUN/trials" -name manifest.json -newer "$MARK.start" -print -quit 2>/dev/null || true)
rm -f "$MARK.start"
# A session without a new checkpoint would repeat itself for ever.
if [ "$requeue" ] && [ "$saved" ] && [ ! -f "$MARK" ]; then
  exec scontrol requeue "$SLURM_JOB_ID"
fi
if [ ! -f "$MARK" ]; then
  echo "The run failed; its output is above." >&2
  exit $((status ? status : 1))
fi
rm -f "$MARK"
