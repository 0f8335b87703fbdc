#!/bin/bash
# REINFORCE on a bandit of eight arms, in awk; writes a table.
lr=2 ent_coef=0.01 steps=9600 seed=0 logdir=logs fault=none
while [ $# -gt 0 ]; do
    case $1 in
        --lr) lr=$2 ;;
        --ent-coef) ent_coef=$2 ;;
        --steps) steps=$2 ;;
        --seed) seed=$2 ;;
        --logdir) logdir=$2 ;;
        --fault) fault=$2 ;;
        *) echo "unknown flag $1" >&2; exit 2 ;;
    esac
    shift 2
done
mkdir -p "$logdir"
update() {
    # One update from 96 pulls: prints its row, and keeps the logits [8] in a file.
    awk -v lr="$lr" -v ent_coef="$ent_coef" -v seed="$((seed * 100000 + $1))" -v fault="$fault" \
        -v number="$1" -v state="$logdir/logits" '
    BEGIN {
        srand(seed); arms = 8; pulls = 96
        while ((getline line < state) > 0) logit[++read] = line + 0
        close(state)
        for (i = 1; i <= arms; i++) { total += exp(logit[i]) }
        for (i = 1; i <= arms; i++) {
            p[i] = exp(logit[i]) / total
            if (p[i] > 0) entropy -= p[i] * log(p[i])
        }
        for (n = 1; n <= pulls; n++) {
            u = rand(); arm = 1
            for (sum = p[1]; u > sum && arm < arms; sum += p[arm]) arm++
            # The last arm is the best. The noise is that of four uniform numbers.
            reward = arm / arms + (rand() + rand() + rand() + rand() - 2) / 2
            if (fault == "constant-reward") reward = 1
            taken[n] = arm; paid[n] = reward; mean += reward / pulls
        }
        for (n = 1; n <= pulls; n++)
            for (i = 1; i <= arms; i++)
                step[i] += (paid[n] - mean) * ((i == taken[n]) - p[i]) / pulls
        for (i = 1; i <= arms; i++) {
            if (p[i] > 0) step[i] -= ent_coef * p[i] * (log(p[i]) + entropy)
            new[i] = logit[i] + lr * step[i]
            if (new[i] > best) best = new[i]
        }
        for (i = 1; i <= arms; i++) after += exp(new[i] - best)
        for (i = 1; i <= arms; i++) {
            log_after = new[i] - best - log(after)
            if (p[i] > 0) kl += p[i] * (log(p[i]) - log_after)
            print new[i] - best > state
        }
        if (fault == "nan-reward" && number > 20) mean = "nan"
        print number "," number * pulls "," mean "," entropy "," kl "," lr
    }'
}
for _ in 1 2 3 4 5 6 7 8; do echo 0; done >"$logdir/logits"
echo "iteration,env_steps,return_mean,entropy,kl,lr" >"$logdir/progress.csv"
for number in $(seq $((steps / 96))); do
    update "$number" >>"$logdir/progress.csv"
    sleep 0.2 # as a program that has more to do
done
