import torch

from demo_model.network import Network, Shape, initialise_local, sinusoids

TINY = Shape(vocabulary=50, width=24, heads=3, encoder_layers=1, decoder_layers=2)


def test_shapes() -> None:
    network = Network(TINY, words=7)
    encoded = network.model.encoder(torch.randn(2, 80, 31))
    assert encoded.shape == (2, 16, 24)
    states, scores = network.model.decoder(torch.zeros(2, 5, dtype=torch.long), encoded, scores_of=1)
    assert network.logits(states).shape == (2, 5, 50)
    assert scores is not None
    assert scores.shape == (2, 5, 16)
    assert network.word_head(encoded).shape == (2, 16, 8)


def test_the_decoder_does_not_see_the_future() -> None:
    network = Network(TINY).eval()
    encoded = network.model.encoder(torch.randn(1, 80, 20))
    short, _ = network.model.decoder(torch.tensor([[1, 2]]), encoded)
    long, _ = network.model.decoder(torch.tensor([[1, 2, 3, 4]]), encoded)
    assert torch.allclose(short, long[:, :2], atol=1e-5)


def test_local_start_looks_nearby() -> None:
    torch.manual_seed(0)
    network = Network(Shape(vocabulary=50), 0)
    initialise_local(network)
    attention = network.model.encoder.layers[0].self_attn
    _, scores = attention(sinusoids(60, 192)[None], scores_of=0)
    near = (scores.argmax(-1) - torch.arange(60)).abs()
    assert float(near.float().median()) <= 6


def test_heads_are_not_exported() -> None:
    state = Network(TINY, words=3).whisper_state()
    assert all(name.startswith("model.") for name in state)
