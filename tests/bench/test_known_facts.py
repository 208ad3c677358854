"""What is known of well-known optimizers, found again by `experiments.known_facts`."""

import pytest

from experiments import known_facts


@pytest.mark.slow
def test_adam_beats_sgd_where_most_classes_are_rare():
    loss = known_facts.heavy_tailed_classes()
    assert loss["loss of adam"] < 0.97 * min(loss["loss of sgd"], loss["loss of momentum_sgd"])


def test_adamw_and_adam_with_l2_part():
    found = known_facts.decoupled_weight_decay()
    assert found["loss of adamw"] < 0.7 * found["loss of adam with L2"]
    assert found["seeds where adamw is lower"] == 6


@pytest.mark.slow
def test_lion_wants_a_smaller_learning_rate():
    found = known_facts.lions_learning_rate()
    assert 3 <= found["adamw's rate over lion's, geometric mean"] <= 10


@pytest.mark.slow
def test_momentum_keeps_up_on_convolutional_networks():
    ratio = known_facts.momentum_on_convolutions()["momentum's loss over adam's, geometric mean"]
    assert 0.85 < ratio < 1.15


@pytest.mark.slow
def test_an_optimizer_is_not_better_than_itself():
    assert known_facts.compared_with_itself()["significant at 5 %"] <= 0.05
