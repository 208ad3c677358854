"""Meta-training that ends as the released `celo_v3`: step sizes and directions, on 35 tasks.

    metaopt meta-train run experiments/meta_celo.py --out DIR

Full evolution strategies on what trainings come to, so that nothing but the end counts. A small
task of every family of `meta_train` and, of families of neural networks, a larger one; in units at
random. Trainings grow to 1,500 steps, and with them the reason for smaller steps. The released
weights are those after 678 of the 800 meta-updates, where the time on GPUs ended.
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
    "digits_autoencoder_52x12_sigmoid_b13_glorot_uniform",
    "china_8_autoencoder_50x20_relu_b63_small_normal",
    "bilinear_d13_cond1.92_regularization0.89_noise0.0119_seed23",
    "china_8_conv_9x18_elu_b16_he_normal",
    "china_8_color_conv_13x26_silu_b20_he_normal",
    "deep_linear_13x13x13x23_b39_rank11_condition_number375_gain1.18_seed17",
    "digits_diffusion_25_softplus_b19",
    "digits_diffusion_48x48_elu_b18",
    "drifting_d16_cond117_pace0.116_seed493",
    "factorization_20x25_rank4_m203_width4_condition_number30.6_init_scale0.431_seed24",
    "levy_d20_noise0.0114",
    "rosenbrock_d32_noise0.00211",
    "least_squares_21x9_cond568_b12_seed644",
    "digits_fourier_model_b104",
    "digits_mlp_42x42_softplus_b14_he_normal",
    "china_8_mlp_113_selu_b53_glorot_uniform_norm_layer_brier",
    "wine_mlp_75x75x75_relu_b39_he_normal_norm_layer",
    "quadratic_11x8_8_cond1.6_noise0.0236_seed367",
    "digits_resnet_4_n1_selu_b6_norm_rms",
    "china_8_resnet_6x12_n1_relu_b6",
    "kjv_vanilla_e18_h32_c12_b9_glorot_uniform",
    "kjv_lstm_e12_h22_c14_b12",
    "kjv_skip_gram_v262_w5_b54_window5_shared29",
    "kjv_skip_gram_v273_w16_b31_window5_shared17",
    "kjv_mlp_c9_e12_h20_b12",
    "kjv_mlp_c4_e31_h49_b40",
    "kjv_transformer_l1_w28_h2_c20_b4",
    "kjv_transformer_l1_w44_h4_c13_b7",
    "kjv_transformer_l2_w32_h4_c8_b6",
    "digits_vae_16x8x3_leaky_relu_b28_gaussian",
    "digits_vae_60x8_selu_b43",
    "digits_vit_p2_l1_w21_h1_b10",
    "china_8_vit_p2_l1_w28_h4_b5",
    "zipf_bigram_49_b75_exponent0.54_contrast1.22_seed1",
    "zipf_bigram_106_b68_exponent1.01_contrast0.67_seed7",
)

CONFIG = MetaConfig(
    network=NetworkConfig("celo"),
    estimator=EstimatorConfig(
        method="full_es",
        deviation=0.01,
        truncation=10,
        loss="end",
        fresh=10,
        normalization="log",
        delta="unit",
    ),
    curriculum=CurriculumConfig(
        shortest=50, longest=150, last_shortest=100, last_longest=1500, steps=650, spread=10.0
    ),
    tasks=TasksConfig(names=TASKS),
    outer=OuterConfig(learning_rate=1.5e-3, last=0.05, clip=0.0),
    groups=4,
    particles=256,
    steps=800,
)
