"""Show, Attend and Tell against its paper's equations: Xu et al. 2015."""

import pytest
import torch

from captioner.decoding import END, START
from captioner.models.show_attend_tell import ShowAttendTell, ShowAttendTellConfig, doubly_stochastic


def network(**options: object) -> ShowAttendTell:
    """Build a small network of 5 regions and 12 words."""
    torch.manual_seed(2)
    sizes = {"width": 8, "attention_width": 6, "dropout": 0.0}
    return ShowAttendTell(ShowAttendTellConfig(12, 5, 7, **{**sizes, **options}))


def test_attention_is_what_the_equation_gives():
    model = network()
    memory, state = model.encode(torch.randn(1, 5, 7)), torch.randn(1, 8)

    seen = model.look(state, memory)[0, 0]

    scores = torch.stack([
        model.weigh.weight[0] @ torch.tanh(model.ask.weight @ state[0] + model.ask.bias + model.answer.weight @ region)
        for region in memory.regions[0]
    ])  # fmt: skip
    assert torch.allclose(seen, scores.softmax(0), atol=1e-6)


def test_the_first_state_comes_from_the_mean_region():
    model = network()
    memory = model.encode(torch.randn(2, 5, 7))
    turned = memory._replace(regions=memory.regions.flip(1))

    assert torch.allclose(model.begin(memory)[0], model.begin(turned)[0], atol=1e-6)
    assert not torch.allclose(*model.begin(memory)[0])


def test_the_penalty_is_nothing_where_each_region_got_one_in_all_and_counts_no_padding():
    said = torch.tensor([[[1.0, 1.0, 0.0]]])
    fair = torch.tensor([[[[1.0, 0.0], [0.0, 1.0], [0.7, 0.3]]]])  # (B, C, T, L); the last is padding
    unfair = torch.tensor([[[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]])

    assert float(doubly_stochastic(fair, said)) == 0
    assert float(doubly_stochastic(unfair, said)) == pytest.approx(2.0)


def test_the_penalty_makes_the_attention_more_even():
    regions, tokens = torch.randn(4, 5, 7), torch.tensor([[[START, 5, 6, 7, 8, END]]] * 4)
    uneven = {}
    for penalty in (0.0, 5.0):
        model = network(penalty=penalty)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(30):
            model.loss(regions, tokens, 0.0).backward()
            optimizer.step()
            optimizer.zero_grad()
        uneven[penalty] = float((model.attend(regions, tokens[:, 0, :-1]).detach().sum(1) - 1).square().sum(-1).mean())

    assert uneven[5.0] < uneven[0.0]


def test_hard_attention_draws_single_regions_and_learns_to_look_by_its_rewards_alone():
    model = network(attention="hard", entropy=0.0).train()
    torch.manual_seed(0)
    regions, tokens = torch.randn(6, 5, 7), torch.tensor([[[START, 5, 6, END]]] * 6)
    made = model.unroll(model.encode(regions), tokens[..., :-1])

    assert (made.drawn < 0).any(-1).sum() > 0  # about half of the captions are drawn for
    loss = model._reinforce(made, tokens, (tokens[..., 1:] != 0).float())
    loss.backward()

    grads = {name for name, one in model.named_parameters() if one.grad is not None and float(one.grad.abs().sum()) > 0}
    assert {"ask.weight", "answer.weight", "weigh.weight"} <= grads
    assert not any(name.startswith(("out", "words")) for name in grads if name != "words.weight")


def test_the_baseline_follows_the_rewards_and_is_kept_with_the_weights():
    model = network(attention="hard").train()
    for _ in range(40):
        model.loss(torch.randn(6, 5, 7), torch.tensor([[[START, 5, 6, END]]] * 6), 0.0)

    baseline = float(model.state_dict()["baseline"])
    assert -4 < baseline < -1.5  # about the log of one in twelve words
