"""Meta-training that goes on from `celo_v3` to long trainings, and ends as `celo_v4`.

    metaopt meta-train run experiments/meta_celo_long.py --out DIR

What counts is the loss on each task's validation split: long trainings on little data can be too
good at the training loss. Lengths are the suite's own, and up to four times those. Beside tasks of
every family there are delayed and noisy gradients, which many steps do not make up for. The
released weights are those after 141 of the 320 meta-updates, where the time on GPUs ended.
"""

from dataclasses import replace

from meta_celo import CONFIG as BEFORE

from search.meta.config import CurriculumConfig, TasksConfig

TASKS = (
    "digits_autoencoder_52x12_sigmoid_b13_glorot_uniform",
    "digits_autoencoder_79x3_leaky_relu_b12_bernoulli_small_normal",
    "china_8_autoencoder_50x20_relu_b63_small_normal",
    "bilinear_d13_cond1.92_regularization0.89_noise0.0119_seed23",
    "china_8_color_conv_13x26_silu_b20_he_normal",
    "digits_conv_16x32_sigmoid_b8",
    "digits_conv_8x16x32_elu_b12_he_normal_norm_layer__global1000s9__delay2",
    "deep_linear_13x13x13x23_b39_rank11_condition_number375_gain1.18_seed17",
    "digits_diffusion_48x48_elu_b18",
    "gaussians_diffusion_17_selu_b32__global10s293__delay5",
    "drifting_d16_cond117_pace0.116_seed493",
    "factorization_20x25_rank4_m203_width4_condition_number30.6_init_scale0.431_seed24",
    "levy_d20_noise0.0114",
    "rosenbrock_d32_noise0.00211",
    "least_squares_21x9_cond568_b12_seed644",
    "digits_fourier_model_b104",
    "wine_linear_model_b4_penalty0.000962__parameter10s1767",
    "breast_cancer_mlp_70x70_tanh_b14_he_normal_norm_rms__noise0.00283",
    "digits_mlp_42x42_softplus_b14_he_normal",
    "digits_mlp_86x86_sigmoid_b19_norm_layer_brier",
    "wine_mlp_75x75x75_relu_b39_he_normal_norm_layer",
    "quadratic_11x8_8_cond1.6_noise0.0236_seed367",
    "digits_resnet_4_n1_selu_b6_norm_rms",
    "china_8_resnet_6x12_n1_relu_b6",
    "kjv_vanilla_e18_h32_c12_b9_glorot_uniform",
    "kjv_lstm_e12_h22_c14_b12",
    "kjv_skip_gram_v262_w5_b54_window5_shared29",
    "kjv_skip_gram_v273_w16_b31_window5_shared17",
    "kjv_mlp_c12_e12_h42_b6__delay6",
    "kjv_mlp_c4_e31_h49_b40",
    "kjv_transformer_l1_w28_h2_c20_b4",
    "kjv_transformer_l1_w44_h4_c13_b7",
    "kjv_transformer_l2_w32_h4_c8_b6",
    "digits_vae_41x3_relu_b13",
    "digits_vae_60x8_selu_b43",
    "china_8_vae_81x4_elu_b51__delay1",
    "digits_vit_p2_l1_w21_h1_b10",
    "china_8_vit_p2_l1_w28_h4_b5",
    "zipf_bigram_49_b75_exponent0.54_contrast1.22_seed1",
    "zipf_bigram_106_b68_exponent1.01_contrast0.67_seed7",
)

CONFIG = replace(
    BEFORE,
    estimator=replace(BEFORE.estimator, loss="validation"),
    curriculum=CurriculumConfig(shortest=200, longest=3000, spread=10.0),
    tasks=TasksConfig(names=TASKS),
    outer=replace(BEFORE.outer, learning_rate=8e-4, last=0.03),
    groups=8,
    particles=128,
    steps=320,
    start="celo_v3",
)
