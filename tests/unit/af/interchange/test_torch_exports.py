"""Models as PyTorch's exporters write them, the older and the newer, for any number of rows or for one."""

import io
import warnings

import numpy as np
import pytest

from af.engines import NumpyEngine
from af.errors import AfRefused
from af.interchange.onnx_reader import read_onnx
from af.interchange.onnx_writer import write_onnx
from tests.unit.af.interchange.kinds import KINDS, rows_for

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript", reason="torch's newer exporter needs it")
nn = torch.nn


class Part(nn.Module):
    """A module of some others and a function of x and of them."""

    def __init__(self, function, *parts):
        super().__init__()
        self.parts, self.function = nn.ModuleList(parts), function

    def forward(self, x):
        return self.function(x, *self.parts)


def encoder(**facts):
    return nn.TransformerEncoderLayer(6, batch_first=True, dim_feedforward=9, **facts)


SEQUENCE, IMAGE, TOKENS = torch.randn(3, 4, 6), torch.randn(3, 2, 7, 7), torch.randint(0, 9, (3, 5))
MODELS = {
    "dense": (
        nn.Sequential(nn.Linear(6, 5), nn.LeakyReLU(0.1), nn.BatchNorm1d(5), nn.Linear(5, 3), nn.Softmax(-1)),
        torch.randn(3, 6),
    ),
    "conv2d": (
        nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), (2, 1), (1, 0)),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 2),
        ),
        IMAGE,
    ),
    "conv1d": (nn.Sequential(nn.Conv1d(4, 6, 3, padding=1, groups=2), nn.GELU()), SEQUENCE),
    "pools": (
        nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.AdaptiveMaxPool2d(1), nn.Flatten()),
        IMAGE,
    ),
    "residual": (Part(lambda x, a, b: x + torch.tanh(b(a(x))), nn.LayerNorm(6), nn.Linear(6, 6)), SEQUENCE),
    "embedding": (Part(lambda x, a, b: b(a(x).mean(1)), nn.Embedding(9, 4), nn.Linear(4, 2)), TOKENS),
    "gru": (Part(lambda x, g: g(x)[0], nn.GRU(6, 5, batch_first=True)), SEQUENCE),
    "gru, last step": (Part(lambda x, g: g(x)[0][:, -1], nn.GRU(6, 5, batch_first=True)), SEQUENCE),
    "gru, last state": (Part(lambda x, g: g(x)[1][0], nn.GRU(6, 5, batch_first=True)), SEQUENCE),
    "encoder, norm after": (encoder(nhead=2), SEQUENCE),
    "encoder, norm before": (encoder(nhead=3, norm_first=True, activation="gelu"), SEQUENCE),
    "two encoders": (
        nn.Sequential(encoder(nhead=1), encoder(nhead=6), nn.Flatten(), nn.Linear(24, 2)),
        SEQUENCE,
    ),
}
# Name, the newer exporter, any number of rows. The older one fails at attention by itself.
WAYS = [
    *((name, False, True) for name in MODELS if "encoder" not in name),
    *((name, False, False) for name in ("gru", "gru, last state")),
    *((name, True, False) for name in ("conv2d", "embedding", "gru", "gru, last state", "two encoders")),
    *((name, True, True) for name in ("gru, last step", "encoder, norm after", "encoder, norm before")),
]


def exported(model, rows, *, is_new, any_rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if is_new:
            shapes = {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if any_rows else {}
            program = torch.onnx.export(model, (rows,), dynamo=True, verbose=False, **shapes)
            return program.model_proto.SerializeToString()
        file = io.BytesIO()
        axes = {"dynamic_axes": {"x": {0: "n"}}} if any_rows else {}
        torch.onnx.export(model, (rows,), file, dynamo=False, input_names=["x"], **axes)
        return file.getvalue()


@pytest.mark.parametrize(("name", "is_new", "any_rows"), WAYS)
def test_an_exported_model_means_the_same(name, is_new, any_rows):
    model, rows = MODELS[name]
    model.eval()
    network = read_onnx(exported(model, rows, is_new=is_new, any_rows=any_rows)).network
    found = NumpyEngine(network).forward(rows.numpy().reshape(3, -1).astype("f4"))
    np.testing.assert_allclose(found, model(rows).detach().numpy().reshape(3, -1), atol=1e-5)


@pytest.mark.parametrize("kind", ["transformer after", "transformer before"])
def test_an_encoder_block_of_our_own_comes_back_as_it_was(kind):
    network = read_onnx(write_onnx(KINDS[kind])).network
    assert [spec.type for spec in network.specs[:2]] == [spec.type for spec in KINDS[kind].specs]
    assert network.specs[1].heads == KINDS[kind].specs[1].heads
    rows = rows_for(KINDS[kind])
    expected = NumpyEngine(KINDS[kind]).forward(rows)
    np.testing.assert_allclose(NumpyEngine(network).forward(rows), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, a: x + a(x, x, x, need_weights=False)[0], "only torch.nn.TransformerEncoderLayer's"),
        (lambda x, a: x + 2 * a(x, x, x, need_weights=False)[0], "with none of its weights it is attention"),
        (lambda x, a: a(x, x, x, need_weights=False)[0], "ONNX model"),
    ],
)
def test_attention_in_another_arrangement_is_refused(function, message):
    model = Part(function, nn.MultiheadAttention(6, 2, batch_first=True)).eval()
    with pytest.raises(AfRefused, match=message):
        read_onnx(exported(model, SEQUENCE, is_new=True, any_rows=False))
