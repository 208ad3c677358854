"""Optimizers of the literature, each as its paper says.

    optimizer = metaopt.baselines.adan(1e-3, weight_decay=0.02)

`BASELINES` is the table of them all: papers, what each needs, ranges for tuning, deviations.
"""

from metaopt.baselines.adaptive.adabound import adabound as adabound
from metaopt.baselines.adaptive.adabound import amsbound as amsbound
from metaopt.baselines.adaptive.adagrad import adagrad as adagrad
from metaopt.baselines.adaptive.adagrad_norm import adagrad_norm as adagrad_norm
from metaopt.baselines.adaptive.adam_atan2 import adam_atan2 as adam_atan2
from metaopt.baselines.adaptive.adam_cm import adam_cm as adam_cm
from metaopt.baselines.adaptive.adamnc import adamnc as adamnc
from metaopt.baselines.adaptive.adamod import adamod as adamod
from metaopt.baselines.adaptive.adamomentum import adamomentum as adamomentum
from metaopt.baselines.adaptive.adamp import adamp as adamp
from metaopt.baselines.adaptive.adan import adan as adan
from metaopt.baselines.adaptive.adashift import adashift as adashift
from metaopt.baselines.adaptive.ademamix import ademamix as ademamix
from metaopt.baselines.adaptive.blockwise_adam import blockwise_adam as blockwise_adam
from metaopt.baselines.adaptive.coupled_adam import coupled_adam as coupled_adam
from metaopt.baselines.adaptive.diffgrad import diffgrad as diffgrad
from metaopt.baselines.adaptive.dualadam import dualadam as dualadam
from metaopt.baselines.adaptive.dualadam import invadam as invadam
from metaopt.baselines.adaptive.exadam import exadam as exadam
from metaopt.baselines.adaptive.fadam import fadam as fadam
from metaopt.baselines.adaptive.from_optax import adabelief as adabelief
from metaopt.baselines.adaptive.from_optax import adadelta as adadelta
from metaopt.baselines.adaptive.from_optax import adam as adam
from metaopt.baselines.adaptive.from_optax import adamax as adamax
from metaopt.baselines.adaptive.from_optax import adopt as adopt
from metaopt.baselines.adaptive.from_optax import amsgrad as amsgrad
from metaopt.baselines.adaptive.from_optax import madgrad as madgrad
from metaopt.baselines.adaptive.from_optax import rmsprop as rmsprop
from metaopt.baselines.adaptive.laprop import laprop as laprop
from metaopt.baselines.adaptive.mars import mars_adamw as mars_adamw
from metaopt.baselines.adaptive.mars import mars_lion as mars_lion
from metaopt.baselines.adaptive.mars import mars_shampoo as mars_shampoo
from metaopt.baselines.adaptive.nadam import nadam as nadam
from metaopt.baselines.adaptive.novograd import novograd as novograd
from metaopt.baselines.adaptive.radam import radam as radam
from metaopt.baselines.adaptive.ranger21 import ranger21 as ranger21
from metaopt.baselines.adaptive.scaled_adam import scaled_adam as scaled_adam
from metaopt.baselines.adaptive.yogi import yogi as yogi
from metaopt.baselines.baseline import Baseline as Baseline
from metaopt.baselines.clipping.adagc import adagc as adagc
from metaopt.baselines.clipping.coordinate_clip import coordinate_clip as coordinate_clip
from metaopt.baselines.clipping.from_optax import clip_by_global_norm as clip_by_global_norm
from metaopt.baselines.clipping.spam import spam as spam
from metaopt.baselines.clipping.stable_adamw import stable_adamw as stable_adamw
from metaopt.baselines.distributed.error_feedback import error_feedback as error_feedback
from metaopt.baselines.first_order.from_optax import momentum_sgd as momentum_sgd
from metaopt.baselines.first_order.from_optax import nesterov_sgd as nesterov_sgd
from metaopt.baselines.first_order.from_optax import sgd as sgd
from metaopt.baselines.first_order.gradient_noise import gradient_noise as gradient_noise
from metaopt.baselines.first_order.gravity import gravity as gravity
from metaopt.baselines.first_order.inna import inna as inna
from metaopt.baselines.first_order.innaprop import innaprop as innaprop
from metaopt.baselines.first_order.nag_gs import nag_gs as nag_gs
from metaopt.baselines.first_order.sgd_freeze_embed import sgd_freeze_embed as sgd_freeze_embed
from metaopt.baselines.first_order.sgd_sai import sgd_sai as sgd_sai
from metaopt.baselines.first_order.sgdp import sgdp as sgdp
from metaopt.baselines.first_order.swats import swats as swats
from metaopt.baselines.games.complex_momentum import complex_adam as complex_adam
from metaopt.baselines.games.complex_momentum import complex_momentum as complex_momentum
from metaopt.baselines.games.ttur import ttur as ttur
from metaopt.baselines.games.wgan_weight_clipping import (
    wgan_weight_clipping as wgan_weight_clipping,
)
from metaopt.baselines.matrix_preconditioned.adamuon import adamuon as adamuon
from metaopt.baselines.matrix_preconditioned.aro import aro as aro
from metaopt.baselines.matrix_preconditioned.auon import auon as auon
from metaopt.baselines.matrix_preconditioned.auon import hybrid_auon as hybrid_auon
from metaopt.baselines.matrix_preconditioned.conda import conda as conda
from metaopt.baselines.matrix_preconditioned.cosmos import cosmos as cosmos
from metaopt.baselines.matrix_preconditioned.distributed_shampoo import (
    distributed_shampoo as distributed_shampoo,
)
from metaopt.baselines.matrix_preconditioned.multinorm import multinorm as multinorm
from metaopt.baselines.matrix_preconditioned.multinorm import sinkgd as sinkgd
from metaopt.baselines.matrix_preconditioned.muon import muon as muon
from metaopt.baselines.matrix_preconditioned.normuon import normuon as normuon
from metaopt.baselines.matrix_preconditioned.poet import poet as poet
from metaopt.baselines.matrix_preconditioned.reg import reg as reg
from metaopt.baselines.matrix_preconditioned.root import root as root
from metaopt.baselines.matrix_preconditioned.scion import scion as scion
from metaopt.baselines.matrix_preconditioned.shampoo import shampoo as shampoo
from metaopt.baselines.matrix_preconditioned.soap import soap as soap
from metaopt.baselines.matrix_preconditioned.swan import swan as swan
from metaopt.baselines.memory_efficient.adalomo import adalomo as adalomo
from metaopt.baselines.memory_efficient.adam_mini import adam_mini as adam_mini
from metaopt.baselines.memory_efficient.apollo import apollo as apollo
from metaopt.baselines.memory_efficient.apollo import apollo_mini as apollo_mini
from metaopt.baselines.memory_efficient.badam import badam as badam
from metaopt.baselines.memory_efficient.came import came as came
from metaopt.baselines.memory_efficient.fira import fira as fira
from metaopt.baselines.memory_efficient.from_optax import adafactor as adafactor
from metaopt.baselines.memory_efficient.frugal import frugal as frugal
from metaopt.baselines.memory_efficient.galore import galore as galore
from metaopt.baselines.memory_efficient.gwt import gwt as gwt
from metaopt.baselines.memory_efficient.hift import hift as hift
from metaopt.baselines.memory_efficient.lisa import lisa as lisa
from metaopt.baselines.memory_efficient.lomo import lomo as lomo
from metaopt.baselines.memory_efficient.microadam import microadam as microadam
from metaopt.baselines.memory_efficient.online_subspace_descent import (
    online_subspace_descent as online_subspace_descent,
)
from metaopt.baselines.memory_efficient.scale import scale as scale
from metaopt.baselines.memory_efficient.slimadam import slimadam as slimadam
from metaopt.baselines.memory_efficient.sm3 import sm3 as sm3
from metaopt.baselines.memory_efficient.smmf import smmf as smmf
from metaopt.baselines.memory_efficient.subset_norm import subset_norm as subset_norm
from metaopt.baselines.memory_efficient.subset_norm import subspace_momentum as subspace_momentum
from metaopt.baselines.quantized.block_wise import adam_8bit as adam_8bit
from metaopt.baselines.quantized.block_wise import adamw_8bit as adamw_8bit
from metaopt.baselines.quantized.block_wise import momentum_8bit as momentum_8bit
from metaopt.baselines.quantized.fp8 import adam_fp8 as adam_fp8
from metaopt.baselines.quantized.muon_8bit import muon_8bit as muon_8bit
from metaopt.baselines.riemannian.induced_metric import induced_metric as induced_metric
from metaopt.baselines.riemannian.moe_lora_riemannian import (
    moe_lora_riemannian as moe_lora_riemannian,
)
from metaopt.baselines.riemannian.riemannian_adam import riemannian_adagrad as riemannian_adagrad
from metaopt.baselines.riemannian.riemannian_adam import riemannian_adam as riemannian_adam
from metaopt.baselines.riemannian.riemannian_adam import riemannian_amsgrad as riemannian_amsgrad
from metaopt.baselines.riemannian.riemannian_sgd import riemannian_sgd as riemannian_sgd
from metaopt.baselines.scaling_rule.blockwise_lr import blockwise_lr as blockwise_lr
from metaopt.baselines.scaling_rule.blockwise_lr import (
    blockwise_lr_adam_mini as blockwise_lr_adam_mini,
)
from metaopt.baselines.scaling_rule.depth_mup import depth_mup as depth_mup
from metaopt.baselines.scaling_rule.from_optax import lamb as lamb
from metaopt.baselines.scaling_rule.hyperp import hyperp as hyperp
from metaopt.baselines.scaling_rule.lars import lars as lars
from metaopt.baselines.scaling_rule.mup_adam import mup_adam as mup_adam
from metaopt.baselines.scaling_rule.per_layer_sp_lr import per_layer_sp_lr as per_layer_sp_lr
from metaopt.baselines.scaling_rule.wd_width_rule import wd_width_rule as wd_width_rule
from metaopt.baselines.schedule.adamwr import adamwr as adamwr
from metaopt.baselines.schedule.d2z import d2z as d2z
from metaopt.baselines.schedule.eden_schedule import eden_schedule as eden_schedule
from metaopt.baselines.schedule.from_optax import cosine_decay as cosine_decay
from metaopt.baselines.schedule.from_optax import exponential_decay as exponential_decay
from metaopt.baselines.schedule.from_optax import linear_warmup as linear_warmup
from metaopt.baselines.schedule.from_optax import onecycle as onecycle
from metaopt.baselines.schedule.from_optax import step_decay as step_decay
from metaopt.baselines.schedule.reduce_on_plateau import reduce_on_plateau as reduce_on_plateau
from metaopt.baselines.schedule.rex import rex as rex
from metaopt.baselines.schedule.wsd import wsd as wsd
from metaopt.baselines.sign.ano import ano as ano
from metaopt.baselines.sign.ano import anolog as anolog
from metaopt.baselines.sign.core import core as core
from metaopt.baselines.sign.from_optax import lion as lion
from metaopt.baselines.sign.from_optax import sign_gd as sign_gd
from metaopt.baselines.sign.from_optax import sign_sgd as sign_sgd
from metaopt.baselines.sign.grams import grams as grams
from metaopt.baselines.sign.lion_k import lion_k as lion_k
from metaopt.baselines.sign.rprop import rprop as rprop
from metaopt.baselines.step_size_free.dadapt_adagrad import dadapt_adagrad as dadapt_adagrad
from metaopt.baselines.step_size_free.dadapt_adam import dadapt_adam as dadapt_adam
from metaopt.baselines.step_size_free.dadapt_lion import dadapt_lion as dadapt_lion
from metaopt.baselines.step_size_free.dadapt_sgd import dadapt_sgd as dadapt_sgd
from metaopt.baselines.step_size_free.dog import dog as dog
from metaopt.baselines.step_size_free.dog import ldog as ldog
from metaopt.baselines.step_size_free.prodigy import prodigy as prodigy
from metaopt.baselines.table import BASELINES as BASELINES
from metaopt.baselines.variational.langevin_mc import adam_lmc as adam_lmc
from metaopt.baselines.variational.langevin_mc import langevin_mc as langevin_mc
from metaopt.baselines.weight_decay.adamhd import adamhd as adamhd
from metaopt.baselines.weight_decay.cautious_weight_decay import (
    cautious_weight_decay as cautious_weight_decay,
)
from metaopt.baselines.weight_decay.from_optax import adam_l2 as adam_l2
from metaopt.baselines.weight_decay.from_optax import adamw as adamw
from metaopt.baselines.weight_decay.lawn import lawn as lawn
from metaopt.baselines.weight_decay.lipschitz_weight_constraint import (
    lipschitz_weight_constraint as lipschitz_weight_constraint,
)
from metaopt.baselines.weight_decay.momentum_spectral_norm import (
    momentum_spectral_norm as momentum_spectral_norm,
)
from metaopt.baselines.weight_decay.scale_vector_weight_decay import (
    scale_vector_weight_decay as scale_vector_weight_decay,
)
from metaopt.baselines.weight_decay.sgdw import sgdw as sgdw
from metaopt.baselines.weight_decay.trp import trp as trp
from metaopt.baselines.wrapper.alpha_adam import alpha_adam as alpha_adam
from metaopt.baselines.wrapper.aswa import aswa as aswa
from metaopt.baselines.wrapper.aswa import naswa as naswa
from metaopt.baselines.wrapper.cautious import c_adamw as c_adamw
from metaopt.baselines.wrapper.cautious import c_lion as c_lion
from metaopt.baselines.wrapper.cautious import cautious as cautious
from metaopt.baselines.wrapper.gradient_accumulation import (
    gradient_accumulation as gradient_accumulation,
)
from metaopt.baselines.wrapper.lookahead import lookahead as lookahead
from metaopt.baselines.wrapper.md_decoupling import md_decoupling as md_decoupling
from metaopt.baselines.wrapper.sgg import sgg as sgg
from metaopt.baselines.wrapper.step_nm import step_nm as step_nm
