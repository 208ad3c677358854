"""Meta-training that ends as the released network `adafac_mlp`: the way of the paper, on 13 tasks.

    metaopt meta-train run experiments/meta_adafac_mlp.py --out DIR

Persistent evolution strategies on the mean training loss, and lengths that grow to a thousand
steps. Twelve of the tasks are of `meta_train`; the first, on which speeds are measured, is of no
suite.
"""

from search.meta.config import (
    CurriculumConfig,
    EstimatorConfig,
    MetaConfig,
    NetworkConfig,
    OuterConfig,
    TasksConfig,
)

TASKS = (
    "digits_mlp_32_relu_b128",
    "digits_autoencoder_12_tanh_b8_bernoulli",
    "china_8_conv_9x18_elu_b5_he_normal_norm_layer",
    "deep_linear_13x13x13x23_b39_rank11_condition_number375_gain1.18_seed17",
    "digits_diffusion_25_softplus_b19",
    "factorization_20x25_rank4_m203_width4_condition_number30.6_init_scale0.431_seed24",
    "least_squares_21x9_cond568_b12_seed644",
    "digits_mlp_42x42_softplus_b14_he_normal",
    "china_8_mlp_113_selu_b53_glorot_uniform_norm_layer_brier",
    "quadratic_11x8_8_cond1.6_noise0.0236_seed367",
    "kjv_skip_gram_v147_w4_b82_window1_shared19",
    "kjv_mlp_c9_e12_h20_b12",
    "zipf_bigram_49_b75_exponent0.54_contrast1.22_seed1",
)

CONFIG = MetaConfig(
    network=NetworkConfig("adafac_mlp", hidden=8),
    estimator=EstimatorConfig("pes", truncation=50, normalization="relative", delta="unit"),
    curriculum=CurriculumConfig(
        shortest=100, longest=300, last_shortest=200, last_longest=1000, steps=2500, spread=10.0
    ),
    tasks=TasksConfig(names=TASKS),
    outer=OuterConfig(learning_rate=2e-3, last=0.05, clip=0.0),
    groups=8,
    particles=8,
    steps=4000,
)
