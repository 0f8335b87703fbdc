# pyright: basic
"""Slow twins of the estimators: plain loops over plain numbers, obviously right.

A test compares the array version with its twin here; nothing in this file is fast or vectorised.
"""

import math

import torch


def next_values(values, last_values, terminated, truncated, final_values):
    """Nested lists [T][B] -> [T][B]: what to bootstrap from, one cell at a time."""
    T, B = len(values), len(last_values)
    out = [[0.0] * B for _ in range(T)]
    for t in range(T):
        for b in range(B):
            if terminated[t][b]:
                out[t][b] = 0.0
            elif truncated[t][b]:
                out[t][b] = final_values[t][b]
            elif t == T - 1:
                out[t][b] = last_values[b]
            else:
                out[t][b] = values[t + 1][b]
    return out


def gae(rewards, values, following, done, gamma, lam):
    """Nested lists [T][B] -> [T][B]: the sum of discounted one-step errors, term by term."""
    T, B = len(rewards), len(rewards[0])
    out = [[0.0] * B for _ in range(T)]
    for b in range(B):
        for t in range(T):
            weight = 1.0
            for k in range(t, T):
                error = rewards[k][b] + gamma * following[k][b] - values[k][b]
                out[t][b] += weight * error
                if done[k][b]:
                    break
                weight *= gamma * lam
    return out


def monte_carlo(rewards, following, done, gamma):
    """Nested lists [T][B] -> [T][B]: the discounted rewards until the episode or the data ends.

    The future beyond that point counts as ``following`` says there.
    """
    T, B = len(rewards), len(rewards[0])
    out = [[0.0] * B for _ in range(T)]
    for b in range(B):
        for t in range(T):
            weight = 1.0
            for k in range(t, T):
                out[t][b] += weight * rewards[k][b]
                weight *= gamma
                if done[k][b] or k == T - 1:
                    out[t][b] += weight * following[k][b]
                    break
    return out


def clipped_surrogate(logp, logp_old, advantages, clip):
    """Lists [N] -> list [N]: the loss of each row, case by case."""
    out = []
    for new, old, advantage in zip(logp, logp_old, advantages, strict=True):
        ratio = math.exp(new - old)
        if advantage >= 0:
            out.append(-min(ratio, 1 + clip) * advantage)
        else:
            out.append(-max(ratio, 1 - clip) * advantage)
    return out


def value_loss(values, returns, old_values, clip):
    """Lists [N] -> list [N]: half the squared error, the worse of two with a clip."""
    out = []
    for value, target, old in zip(values, returns, old_values, strict=True):
        error = (value - target) ** 2
        if clip > 0:
            near = min(max(value, old - clip), old + clip)
            error = max(error, (near - target) ** 2)
        out.append(error / 2)
    return out


def kl(p, q):
    """Probabilities [A], [A] -> KL(p || q) in nats, by enumeration."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def entropy(p):
    """Probabilities [A] -> entropy in nats, by enumeration."""
    return -sum(a * math.log(a) for a in p if a > 0)


def marginal_entropy(rows):
    """Probabilities [B][A] -> entropy in nats of their mean over the batch."""
    return entropy([sum(column) / len(rows) for column in zip(*rows, strict=True)])


def twin_mlp(x, weight, hidden, activation):
    """x [N, I] and named weights -> policy outputs [N, P] and values [N], one layer at a time."""
    f = {"tanh": torch.tanh, "relu": torch.relu}[activation]
    policy_weight, critic_weight = weight["first.weight"].chunk(2, 1)
    policy_bias, critic_bias = weight["first.bias"].chunk(2)
    policy, critic = f(x @ policy_weight + policy_bias), f(x @ critic_weight + critic_bias)
    for i in range(1, len(hidden)):
        policy_bias, critic_bias = weight[f"hidden{i}.bias"].chunk(2)
        policy = f(policy @ weight[f"hidden{i}.weight"][0] + policy_bias)
        critic = f(critic @ weight[f"hidden{i}.weight"][1] + critic_bias)
    outputs = policy @ weight["policy.weight"] + weight["policy.bias"]
    return outputs, (critic @ weight["critic.weight"] + weight["critic.bias"])[:, 0]


def episodes(rewards, done, valid):
    """rewards, done, valid [T, B] -> sorted returns and sorted lengths of finished episodes."""
    returns, lengths = [], []
    for b in range(rewards.shape[1]):
        total, steps = 0.0, 0
        for t in range(len(rewards)):
            if valid[t, b]:
                total, steps = total + rewards[t, b], steps + 1
            if done[t, b]:
                returns.append(total)
                lengths.append(steps)
                total, steps = 0.0, 0
    return sorted(returns), sorted(lengths)
