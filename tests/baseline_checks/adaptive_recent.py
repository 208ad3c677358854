"""Checks of the adaptive methods since 2019, and of their kin in other groups."""

import numpy as np
from baseline_checks.trajectories import Arrays, Case, Reading, leafwise, read

from metaopt import baselines
from metaopt.baselines.shared.matrices import torch_axes


def _varied(gradients: Arrays) -> Arrays:
    """Gradients now a hundred times smaller and now as they are: clips bite here and not there."""
    scale = 10.0 ** -np.array([2, 0.3, 1, 0, 1.5])[np.arange(25) % 5]
    return {k: g * scale.reshape(-1, *[1] * (g.ndim - 1)) for k, g in gradients.items()}


GRADIENTS = _varied(read("sgd__torch").gradients)


def _adamw_step(m, v, t, g, b1=0.9, b2=0.999, eps=1e-8):
    """Adam's averages after step t and its direction."""
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    return m, v, m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)


def _rms(x):
    return np.sqrt(np.mean(x * x))


# ---------------------------------------------------------------- one array at a time


@leafwise
def adamomentum(w, gradients):
    m, v, after = np.zeros_like(w), np.zeros_like(w), []
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.99 * v + 0.01 * m**2 + 1e-3
        w = w - 0.01 * (m / (1 - 0.9**t)) / np.sqrt(v / (1 - 0.99**t))
        after.append(w)
    return after


@leafwise
def exadam(w, gradients):
    m, v, eps, after = np.zeros_like(w), np.zeros_like(w), 1e-3, []
    for t, g in enumerate(gradients, start=1):
        w = w - 0.01 * 0.02 * w
        m = 0.9 * m + 0.1 * g
        v = 0.99 * v + 0.01 * g**2
        m_tilde = m / (1 - 0.9**t) * (1 + v / (v + eps) * 0.99**t)
        v_tilde = v / (1 - 0.99**t) * (1 + m**2 / (m**2 + eps) * 0.9**t)
        g_tilde = g / (1 - 0.9**t) * (1 + v / (v + eps) * 0.99**t)
        w = w - 0.01 * (m_tilde + g_tilde) / (np.sqrt(v_tilde) + eps)
        after.append(w)
    return after


@leafwise
def adam_atan2(w, gradients):
    m, v, after = np.zeros_like(w), np.zeros_like(w), []
    for t, g in enumerate(gradients, start=1):
        m, v, _ = _adamw_step(m, v, t, g, 0.9, 0.99)
        angle = np.arctan2(m / (1 - 0.9**t), 0.8 * np.sqrt(v / (1 - 0.99**t)))
        w = (1 - 0.01 * 0.02) * w - 0.01 * 1.27 * angle
        after.append(w)
    return after


@leafwise
def alpha_adam(w, gradients):
    m, v, after = np.zeros_like(w), np.zeros_like(w), []
    for t, g in enumerate(gradients, start=1):
        m, v, u = _adamw_step(m, v, t, g)
        masked = u * (np.sign(m) == np.sign(g))
        # A step without any agreement is none.
        alpha = np.linalg.norm(u) / np.linalg.norm(masked) if masked.any() else 0.0
        w = w - 0.01 * (alpha * masked + 0.02 * w)
        after.append(w)
    return after


@leafwise
def mars_lion(w, gradients):
    m, previous, after = np.zeros_like(w), np.zeros_like(w), []
    for g in gradients:
        m = 0.95 * m + 0.05 * _mars(g, previous)
        w = w - 0.01 * (np.sign(m) + 0.02 * w)
        previous = g
        after.append(w)
    return after


def _mars(g, previous):
    c = g + 0.025 * 0.95 / 0.05 * (g - previous)
    return c / max(1, np.linalg.norm(c))


@leafwise
def mars_shampoo(w, gradients):
    m, v, previous, after = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w), []
    for t, g in enumerate(gradients, start=1):
        if w.ndim < 2:
            m, v, u = _adamw_step(m, v, t, g)
        else:
            m = 0.95 * m + 0.05 * _mars(g, previous)
            matrix = m.reshape(len(m), -1) / 0.05
            rows, columns = matrix.shape
            u = np.sqrt(max(1, rows / columns)) * _newton_schulz(matrix).reshape(w.shape)
        w = w - 0.01 * (u + 0.02 * w)
        previous = g
        after.append(w)
    return after


def _newton_schulz(x):
    """Five quintic steps, on the singular values."""
    u, s, vt = np.linalg.svd(x / (np.linalg.norm(x) + 1e-8), full_matrices=False)
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    return u @ np.diag(s) @ vt


ROLES = {"w": "embedding", "b": "vector", "c": "head"}
BLOCKS = {"w": "matrices", "b": "bias", "c": "matrices"}


def coupled_adam(start, gradients):
    tokens = {"w": 0, "c": 2}
    w, after = dict(start), []
    m = {k: np.zeros_like(x) for k, x in w.items()}
    v = {k: np.zeros_like(x) for k, x in w.items()}
    for t, gradient in enumerate(gradients, start=1):
        for k, g in gradient.items():
            m[k], v[k], u = _adamw_step(m[k], v[k], t, g)
            if k in tokens:
                v_hat = np.mean(v[k], axis=tokens[k], keepdims=True) / (1 - 0.999**t)
                u = m[k] / (1 - 0.9**t) / (np.sqrt(v_hat) + 1e-8)
            w[k] = w[k] - 0.01 * (u + 0.02 * w[k])
        after.append(dict(w))
    return after


# ---------------------------------------------------------------- all arrays together


def blockwise_adam(start, gradients):
    w, after = dict(start), []
    m = {k: np.zeros_like(x) for k, x in w.items()}
    v = {"matrices": 0.0, "bias": 0.0}
    for t, g in enumerate(gradients, start=1):
        matrices = np.concatenate([g["w"].ravel(), g["c"].ravel()])
        for label, block in (("matrices", matrices), ("bias", g["b"])):
            v[label] = 0.999 * v[label] + 0.001 * np.sum(block**2) / block.size
        for k in w:
            m[k] = 0.9 * m[k] + 0.1 * g[k]
            root = np.sqrt(v[BLOCKS[k]] / (1 - 0.999**t))
            w[k] = w[k] - 0.01 * m[k] / (1 - 0.9**t) / (root + 1e-8)
        after.append(dict(w))
    return after


def adam_cm(start, gradients):
    w, after, memory = dict(start), [], []
    m = {k: np.zeros_like(x) for k, x in w.items()}
    v = {k: np.zeros_like(x) for k, x in w.items()}
    for t, g in enumerate(gradients, start=1):
        priority = sum(np.linalg.norm(x) for x in g.values())
        if t == 1:
            memory.append([priority, g])
        else:
            m = {k: 0.9 * m[k] + 0.1 * g[k] for k in w}
            for k in w:
                a = m[k] + np.mean([kept[k] for _, kept in memory], axis=0)
                v[k] = 0.999 * v[k] + 0.001 * a**2
                w[k] = w[k] - 0.01 * a / (1 - 0.9**t) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
            if len(memory) < 3:
                memory.append([priority, m])
            else:
                lowest = min(range(3), key=lambda i: memory[i][0])
                if priority > memory[lowest][0]:
                    memory[lowest] = [priority, m]
        for entry in memory:
            entry[0] *= 0.7
        after.append(dict(w))
    return after


def induced_metric(start, gradients):
    w, after, q = dict(start), [], 0.0
    m = {k: np.zeros_like(x) for k, x in w.items()}
    v = {k: np.zeros_like(x) for k, x in w.items()}
    for t, g in enumerate(gradients, start=1):
        v = {k: 0.99 * v[k] + 0.01 * g[k] ** 2 for k in w}
        d = {k: np.sqrt(v[k] / (1 - 0.99**t)) + 1e-8 for k in w}
        q = 0.8 * q + 0.2 * 0.1 * sum(np.sum(g[k] ** 2 / d[k]) for k in w)
        scale = 1 / (1 + q / (1 - 0.8**t))
        for k in w:
            m[k] = 0.9 * m[k] + 0.1 * g[k]
            w[k] = w[k] - 0.01 * (scale * m[k] / (1 - 0.9**t) / d[k] + 0.02 * w[k])
        after.append(dict(w))
    return after


# ---------------------------------------------------------------- ScaledAdam

SCALED_START = {
    **read("sgd__torch").start,
    "c": 3e-6 * read("sgd__torch").start["c"],  # too small to learn its size
    "scalar": np.array([9.995]),  # soon at its bound
}
SCALED_GRADIENTS = {**GRADIENTS, "scalar": -np.ones((25, 1))}


@leafwise
def scaled_adam(w, gradients):
    b1, b2, eps, lr, period = 0.9, 0.5, 1e-8, 0.03, 3
    v, p, h, size_v, size, after = np.zeros_like(w), np.zeros_like(w), [], 0.0, _rms(w), []
    for t, g in enumerate(gradients, start=1):
        v = b2 * v + (1 - b2) * g**2
        debias = 1 - b2**t
        v_hat = v / debias if debias < 0.99 else v
        d = -lr * g / (np.sqrt(v_hat) + eps)
        if w.size == 1:
            p = b1 * p + (1 - b1) * 0.1 * d
            w = np.clip(w + p, -10, 10)
            after.append(w)
            continue
        h.append(np.sum(w * g))
        if t % period == 0:
            size = _rms(w)
        d = d * max(size, 1e-5)
        if t % period == 0:
            last, decay = np.array(h[-period:]), b2**period
            size_v = decay * size_v + (1 - decay) * np.mean(last**2)
            step = -0.1 * lr * np.sqrt(1 - decay ** (t // period)) * np.sum(last)
            step = np.clip(step / (np.sqrt(size_v) + eps), -0.1, 0.1)
            step = 0 if size < 1e-5 else step
            d = d + min(step, (1.1 - size) / size) * w
        p = b1 * p + (1 - b1) * d
        w = w + p
        after.append(w)
    return after


# ---------------------------------------------------------------- Ranger21

RANGER_ROLES = {"w": "embedding", "b": "vector", "c": "hidden"}


def ranger21(start, gradients):
    w, slow, after = dict(start), dict(start), []
    momenta = [{k: np.zeros_like(x) for k, x in w.items()} for _ in range(2)]
    v = {k: np.zeros_like(x) for k, x in w.items()}
    parts = {"w": 1, "b": None, "c": (0, 1)}

    def norm(x, k):
        return np.sqrt(np.sum(x**2, axis=parts[k], keepdims=True))

    for t, gradient in enumerate(gradients, start=1):
        rate = 0.05 * min(1, t / 4)
        if t >= 18:
            rate = max(0.05 - (0.05 - 0.001) * min(1, (t + 1 - 18) / (25 - 18 + 1)), 0.001)
        m, m_before = momenta if t % 2 else momenta[::-1]
        for k, g in gradient.items():
            largest = 0.5 * np.maximum(norm(w[k], k), 1e-3)
            g = np.where(norm(g, k) > largest, g * largest / norm(g, k), g)
            if g.ndim > 1:
                g = g - np.mean(g, axis=parts[k], keepdims=True)
            g = g / (np.std(g, ddof=1) + 1e-8)
            v[k] = 0.99 * v[k] + 0.01 * g**2
            m[k] = 0.81 * m[k] + 0.19 * g
        v_hat = {k: x / (1 - 0.99**t) for k, x in v.items()}
        spread = np.sqrt(sum(x.sum() for x in v_hat.values()) / sum(x.size for x in v.values()))
        for k in w:
            w[k] = w[k] * (1 - rate * 0.1 / spread)
            w[k] = w[k] * (1 - rate * 2 * 0.2 * (1 - 1 / (norm(w[k], k) + 1e-8)))
            u = (2 * m[k] - m_before[k]) / np.sqrt(1.99**2 + 0.99**2)
            root = np.log1p(np.exp(50 * (np.sqrt(v_hat[k]) + 1e-8))) / 50
            w[k] = w[k] - rate / (1 - 0.9**t) * u / root
            if t % 5 == 0:
                slow[k] = w[k] = 0.5 * w[k] + 0.5 * slow[k]
        after.append(dict(w))
    return after


# ---------------------------------------------------------------- the checks

REFERENCES: dict[str, Case] = {
    **{
        f"adan__{library}": Case(lambda: baselines.adan(0.01, weight_decay=0.02))
        for library in ("optimi", "po", "timm")
    },
    # heavyball bounds the root from below by eps, and adds nothing; it computes in float32.
    "ademamix__heavyball": Case(lambda: baselines.ademamix(0.01, eps=0.0), rtol=1e-7, atol=2e-8),
    "ademamix__po": Case(lambda: baselines.ademamix(0.01)),
    "adopt__torch_adopt": Case(lambda: baselines.adopt(0.01)),
    "adopt__po": Case(
        lambda: baselines.adopt(0.01),
        departs="its second step clips at 2^(1/4); the authors' code, and the paper, at 1",
        at=2,
    ),
    "adopt__timm": Case(
        lambda: baselines.adopt(0.01),
        departs="it clips at t^(1/3); the authors' code, and the paper, at t^(1/4)",
        at=3,
    ),
    "dualadam__po": Case(lambda: baselines.dualadam(0.01, switch_rate=0.05)),
    # It keeps its moments in float32.
    "fadam__zij": Case(lambda: baselines.fadam(0.01), rtol=1e-7, atol=2e-8),
    "invadam__po": Case(lambda: baselines.invadam(0.01)),
    **{
        # Optax takes the root of the step in float32.
        f"madgrad__{library}": Case(lambda: baselines.madgrad(0.01), rtol=2e-8, atol=1e-8)
        for library in ("madgrad", "po", "timm")
    },
    # It divides eps by sqrt(1 - b2^t) along with the root.
    "mars_adamw__po": Case(lambda: baselines.mars_adamw(0.01), rtol=1e-6, atol=1e-6),
    "mars_adamw__timm": Case(lambda: baselines.mars_adamw(0.01)),
    "mars_adamw__zij": Case(lambda: baselines.mars_adamw(0.01)),
    **{
        f"novograd__{library}": Case(lambda: baselines.novograd(0.01, weight_decay=0.001))
        for library in ("po", "timm", "torch_optimizer")
    },
    # Its eps is 1e-6 unless told.
    "stable_adamw__optimi": Case(lambda: baselines.stable_adamw(0.01, eps=1e-6)),
    "stable_adamw__po": Case(lambda: baselines.stable_adamw(0.01)),
    "stable_adamw__zij": Case(lambda: baselines.stable_adamw(0.01)),
}

READINGS: dict[str, Reading] = {
    "adam_atan2": Reading(
        lambda: baselines.adam_atan2(0.01, b=0.8, weight_decay=0.02),
        adam_atan2,
        gradients=GRADIENTS,
    ),
    "adam_cm": Reading(lambda: baselines.adam_cm(0.01, capacity=3), adam_cm, gradients=GRADIENTS),
    "adamomentum": Reading(
        lambda: baselines.adamomentum(0.01, 0.9, 0.99, 1e-3), adamomentum, gradients=GRADIENTS
    ),
    "alpha_adam": Reading(
        lambda: baselines.alpha_adam(0.01, weight_decay=0.02), alpha_adam, gradients=GRADIENTS
    ),
    "blockwise_adam": Reading(
        lambda: baselines.blockwise_adam(0.01, blocks=lambda _: BLOCKS),
        blockwise_adam,
        gradients=GRADIENTS,
    ),
    "coupled_adam": Reading(
        lambda: baselines.coupled_adam(0.01, weight_decay=0.02, roles=lambda _: ROLES),
        coupled_adam,
        gradients=GRADIENTS,
    ),
    "exadam": Reading(
        lambda: baselines.exadam(0.01, 0.9, 0.99, 1e-3, weight_decay=0.02),
        exadam,
        gradients=GRADIENTS,
    ),
    "induced_metric": Reading(
        lambda: baselines.induced_metric(0.01, weight_decay=0.02),
        induced_metric,
        gradients=GRADIENTS,
    ),
    "mars_lion": Reading(
        lambda: baselines.mars_lion(0.01, weight_decay=0.02), mars_lion, gradients=GRADIENTS
    ),
    "mars_shampoo": Reading(
        lambda: baselines.mars_shampoo(0.01, weight_decay=0.02, matrix_axes=torch_axes),
        mars_shampoo,
        gradients=GRADIENTS,
    ),
    "ranger21": Reading(
        lambda: baselines.ranger21(
            0.05,
            b2=0.99,
            num_steps=25,
            warmup_steps=4,
            min_rate=0.001,
            clip=0.5,
            weight_decay=0.1,
            norm_loss=0.2,
            roles=lambda _: RANGER_ROLES,
        ),
        ranger21,
        gradients=GRADIENTS,
    ),
    "scaled_adam": Reading(
        lambda: baselines.scaled_adam(0.03, b2=0.5, max_size=1.1, period=3),
        scaled_adam,
        start=SCALED_START,
        gradients=SCALED_GRADIENTS,
    ),
}
