"""Checks of wrappers, and of methods that train a few blocks at a time."""

import jax
import numpy as np
import optax
from baseline_checks.trajectories import Case, Reading, leafwise

from metaopt import baselines
from metaopt.baselines.distributed.error_feedback import top_k

# Heavyball's scalars are float32, and its denominator is max(sqrt(v_hat), eps).
HEAVYBALL = {"rtol": 1e-7, "atol": 3e-8}

REFERENCES: dict[str, Case] = {
    "c_adamw__heavyball": Case(
        lambda: baselines.c_adamw(0.01, eps=0.0, weight_decay=0.1), **HEAVYBALL
    ),
    "c_adamw__timm": Case(lambda: baselines.c_adamw(0.01, weight_decay=0.1)),
    "c_lion__po": Case(lambda: baselines.c_lion(0.01, weight_decay=0.1)),
    # timm rescales as the authors' C-AdamW does, not as their C-Lion.
    "c_lion__timm": Case(lambda: baselines.c_lion(0.01, weight_decay=0.1, rescale="mean")),
}


class Adam:
    """Adam of one array: gradient -> what is added to the parameters."""

    def __init__(self, rate=0.05, b1=0.9, b2=0.999, eps=1e-8):
        self.m = self.v = self.t = 0
        self.rate, self.b1, self.b2, self.eps = rate, b1, b2, eps

    def direction(self, g):
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g**2
        m_hat, v_hat = self.m / (1 - self.b1**self.t), self.v / (1 - self.b2**self.t)
        return m_hat / (np.sqrt(v_hat) + self.eps)

    def __call__(self, g):
        return -self.rate * self.direction(g)


@leafwise
def accumulation(w, gradients):
    adam, held, path = Adam(), [], []
    for g in gradients:
        held.append(g)
        if len(held) == 4:
            w, held = w + adam(np.mean(held, axis=0)), []
        path.append(w)
    return path


@leafwise
def lookahead(w, gradients):
    adam, slow, path = Adam(), w, []
    for t, g in enumerate(gradients, 1):
        w = w + adam(g)
        if t % 5 == 0:
            w = slow = slow + 0.8 * (w - slow)
        path.append(w)
    return path


@leafwise
def aswa(w, gradients):
    adam, average, n, path = Adam(), 0, 0, []
    for t, g in enumerate(gradients, 1):
        w = w + adam(g)
        average, n = (n * average + w) / (n + 1), n + 1
        if t % 7 == 0:
            w, average = average, w
        path.append(w)
    return path


def naswa(start, gradients):
    adams, average, n, norms, path = {k: Adam() for k in start}, None, 0, [], []
    w, far, near = start, 0, 0
    for t, g in enumerate(gradients, 1):
        w = {k: w[k] + adams[k](g[k]) for k in w}
        if average is None:
            average, n = w, 1
        else:
            norm = np.sqrt(sum(np.sum((w[k] - average[k]) ** 2) for k in w))
            if norm > (np.mean(norms) if norms else 0):
                average = {k: (n * average[k] + w[k]) / (n + 1) for k in w}
                n, norms, far = n + 1, [norm], far + 1
            else:
                norms, near = [*norms, norm], near + 1
        if t % 8 == 0:
            w, average, norms = average, w, []
        path.append(w)
    assert min(far, near) > 3
    return path


@leafwise
def cautious(w, gradients):
    adam, path = Adam(), []
    for g in gradients:
        u = adam(g)
        mask = (u * g < 0).astype(float)
        w = w + u * mask / max(np.mean(mask), 1e-3)
        path.append(w)
    return path


@leafwise
def sgg(w, gradients):
    adam, m, path = Adam(), 0, []
    label, mean, scale, center = np.zeros(w.shape, int), None, np.ones(3), None

    def nearest():
        return np.argmin(np.abs(size[..., None] - center), axis=-1)

    def means(otherwise):
        return np.array([size[label == k].mean() if k in label else otherwise[k] for k in range(3)])

    for t, g in enumerate(gradients, 1):
        m = 0.9 * m + 0.1 * g
        if t % 4 == 0:
            size = np.abs(m)
            center = np.quantile(size, [1 / 6, 1 / 2, 5 / 6]) if center is None else center
            for _ in range(10):
                label = nearest()
                center = means(center)
            label = nearest()
            now = means(np.full(3, size.mean()))
            mean = now if mean is None else 0.6 * mean + 0.4 * now
            scale = np.clip(0.5 * scale + 0.5 * size.mean() / mean, 0.8, 1.5)
        w = w + scale[label] * adam(g)
        path.append(w)
    assert 1.5 in scale
    return path


def step_nm(start, gradients):
    """One of two weights along the inputs, which are all axes but the last."""

    def pruned(w):
        if w.ndim < 2:
            return w
        rows = w.reshape(-1, w.shape[-1]).T.copy()
        for row in rows:
            for i in range(0, len(row), 2):
                row[i + np.argmin(np.abs(row[i : i + 2]))] = 0
        return rows.T.reshape(w.shape)

    m, v = dict.fromkeys(start, 0), {k: np.zeros_like(w) for k, w in start.items()}
    dense, changes, frozen, path = dict(start), [], 0, []
    count = sum(w.size for w in start.values())
    for t, g in enumerate(gradients, 1):
        old = dict(v)
        for k, w in dense.items():
            grad = g[k] + (0.02 * (w - pruned(w)) if frozen else 0)
            m[k] = 0.9 * m[k] + 0.1 * grad
            if not frozen:
                v[k] = 0.9 * v[k] + 0.1 * grad**2
            v_hat = v[k] / (1 - 0.9 ** (frozen or t))
            dense[k] = w - 0.05 * m[k] / (1 - 0.9**t) / (np.sqrt(v_hat) + 1e-8)
        changes.append(sum(np.abs(v[k] - old[k]).sum() for k in v) / count)
        if not frozen and t >= 3 and np.mean(changes[-3:]) < SETTLED:
            frozen = t
        path.append({k: pruned(w) if frozen else w for k, w in dense.items()})
    assert 5 < frozen < 20
    return path


SETTLED = 0.035


@leafwise
def error_feedback(w, gradients):
    e, path = np.zeros_like(w), []
    for g in gradients:
        a = g + e
        largest = np.argsort(-np.abs(a.ravel()))[: round(0.3 * a.size)]
        sent = np.zeros(a.size)
        sent[largest] = a.ravel()[largest]
        sent = sent.reshape(a.shape)
        e = a - sent
        w = w - 0.05 * sent
        path.append(w)
    return path


def fading(t):
    return 0.05 / (1 + 0.1 * t)


def badam(start, gradients):
    w, path = dict(start), []
    for t, g in enumerate(gradients):
        if t % 4 == 0:
            block, adam = ("w", "c", "b")[t // 4 % 3], Adam()
        adam.rate = fading(t)
        w = {**w, block: w[block] + adam(g[block])}
        path.append(w)
    return path


def lisa(start, gradients):
    """`b`, which is no matrix, is trained always."""
    w, always, path = dict(start), Adam(), []
    drawn = []
    for t, g in enumerate(gradients):
        if t % 4 == 0:
            key = jax.random.fold_in(jax.random.key(3), t // 4)
            block, adam = ("c", "w")[jax.random.permutation(key, 2)[0]], Adam()
            drawn.append(block)
        w = {"b": w["b"] + always(g["b"]), **{k: w[k] for k in "cw"}}
        w[block] = w[block] + adam(g[block])
        path.append(w)
    assert set(drawn) == {"c", "w"}
    return path


def hift(start, gradients):
    w, adams, path = dict(start), {k: Adam() for k in start}, []
    for t, g in enumerate(gradients):
        block = ("b", "c", "w")[t % 3]
        adams[block].rate = fading(t // 3)
        w = {**w, block: w[block] + adams[block](g[block])}
        path.append(w)
    return path


READINGS: dict[str, Reading] = {
    "aswa": Reading(lambda: baselines.aswa(optax.adam(0.05), period=7), aswa),
    "badam": Reading(lambda: baselines.badam(optax.adam(fading), period=4), badam),
    "cautious": Reading(lambda: baselines.cautious(optax.adam(0.05)), cautious),
    "error_feedback": Reading(
        lambda: baselines.error_feedback(optax.sgd(0.05), compressor=top_k(0.3)), error_feedback
    ),
    "gradient_accumulation": Reading(
        lambda: baselines.gradient_accumulation(optax.adam(0.05)), accumulation
    ),
    "hift": Reading(lambda: baselines.hift(optax.adam(fading)), hift),
    "lisa": Reading(lambda: baselines.lisa(optax.adam(0.05), active=1, period=4, seed=3), lisa),
    "lookahead": Reading(
        lambda: baselines.lookahead(optax.adam(0.05), slow_step_size=0.8), lookahead
    ),
    "naswa": Reading(lambda: baselines.naswa(optax.adam(0.05), period=8), naswa),
    "sgg": Reading(
        lambda: baselines.sgg(
            optax.adam(0.05), period=4, mean_decay=0.6, scale_decay=0.5, bounds=(0.8, 1.5)
        ),
        sgg,
    ),
    "step_nm": Reading(
        lambda: baselines.step_nm(
            0.05, b2=0.9, n=1, m=2, sparse_decay=0.02, window=3, threshold=SETTLED
        ),
        step_nm,
    ),
}
