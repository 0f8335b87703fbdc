# pyright: basic
"""Slow twins of the estimators: plain loops over plain numbers, obviously right.

A test compares the array version with its twin here; nothing in this file is fast or vectorised.
"""

import math


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
    return _sum_episodes(
        lambda k, b: rewards[k][b] + gamma * following[k][b] - values[k][b],
        done,
        gamma * lam,
    )


def monte_carlo(rewards, following, done, gamma):
    """Nested lists [T][B] -> [T][B]: the discounted rewards until the episode or the data ends.

    The future beyond that point counts as ``next_values`` says there.
    """

    def add_future(k, b):
        last = done[k][b] or k == len(done) - 1
        return rewards[k][b] + (gamma * following[k][b] if last else 0.0)

    return _sum_episodes(add_future, done, gamma)


def _sum_episodes(term, done, decay):
    """The sums [T][B] of ``decay ** (k - t) * term(k, b)`` from each t to the episode's last k."""
    T, B = len(done), len(done[0])
    out = [[0.0] * B for _ in range(T)]
    for b in range(B):
        for t in range(T):
            for k in range(t, T):
                out[t][b] += decay ** (k - t) * term(k, b)
                if done[k][b]:
                    break
    return out


def group_advantages(returns, scale):
    """List [G] -> list [G]: how far each return is from the group's mean, in deviations or not."""
    G = len(returns)
    if max(returns) == min(returns):
        return [0.0] * G
    mean = sum(returns) / G
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / (G - 1))
    return [(r - mean) / (deviation + 1e-4) if scale else r - mean for r in returns]


def leave_one_out(returns):
    """List [G] -> list [G]: each return minus the mean of the others."""
    out = []
    for i, own in enumerate(returns):
        others = returns[:i] + returns[i + 1 :]
        out.append(own - sum(others) / len(others))
    return out


def v_star(returns, kind, beta):
    """List [K] -> number: the optimal value as the definition says it, for moderate numbers."""
    if kind == "max":
        return max(returns)
    if kind == "mean":
        return sum(returns) / len(returns)
    return beta * math.log(sum(math.exp(r / beta) for r in returns) / len(returns))


def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Lists [N] -> list [N]: minus the log-probability that the chosen one wins (Bradley-Terry)."""
    out = []
    for c, r, c0, r0 in zip(chosen, rejected, reference_chosen, reference_rejected, strict=True):
        won, lost = math.exp(beta * (c - c0)), math.exp(beta * (r - r0))
        out.append(-math.log(won / (won + lost)))
    return out


def astar_regression(logp, reference_logp, advantages, beta):
    """Lists [N] -> list [N]: the squared gap between the implied and the optimal advantage."""
    rows = zip(logp, reference_logp, advantages, strict=True)
    return [(beta * (new - old) - advantage) ** 2 for new, old, advantage in rows]


def kl(p, q):
    """Probabilities [A], [A] -> KL(p || q) in nats, by enumeration."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def entropy(p):
    """Probabilities [A] -> entropy in nats, by enumeration."""
    return -sum(a * math.log(a) for a in p if a > 0)


def marginal_entropy(rows):
    """Probabilities [B][A] -> entropy in nats of their mean over the batch."""
    return entropy([sum(column) / len(rows) for column in zip(*rows, strict=True)])


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
