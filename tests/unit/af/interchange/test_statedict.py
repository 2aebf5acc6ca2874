import io
import zipfile

import numpy as np
import pytest

import af
from af import layers as k
from af.engines import NumpyEngine
from af.header import NeuralConfig
from af.interchange.statedict import network_with, read_safetensors, read_state_dict

safetensors = pytest.importorskip("safetensors.numpy")


def config(input_size, output_size, *layers):
    said = [layer.model_dump(mode="json", exclude_defaults=True) for layer in layers]
    mapping = {
        "network_type": "layered",
        "input_size": input_size,
        "output_size": output_size,
        "layers": said,
    }
    return NeuralConfig.model_validate(mapping)


def refusal(action, *arguments, **options):
    with pytest.raises(af.AfRefused) as caught:
        action(*arguments, **options)
    return str(caught.value)


def saved(model):
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.save(model.state_dict() if hasattr(model, "state_dict") else model, buffer)
    return buffer.getvalue()


def agrees(model, network, rows, shape):
    torch = pytest.importorskip("torch")
    model.eval()
    with torch.no_grad():
        expected = model(torch.from_numpy(rows.reshape(shape))).numpy().reshape(len(rows), -1)
    np.testing.assert_allclose(NumpyEngine(network).forward(rows), expected, atol=2e-5)


def test_a_convolutional_network_of_torch_means_the_same_here():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 2),
    )
    model.train()
    model(torch.randn(8, 1, 6, 6))  # gives the normalisation something to remember
    network = network_with(
        config(
            36,
            2,
            k.Reshape(shape=(1, 6, 6)),
            k.Conv2d(channels=3, kernel=(3, 3)),
            k.Scale(),
            k.Activate(activation="relu"),
            k.MaxPool2d(kernel=(2, 2), stride=(2, 2)),
            k.Flatten(),
            k.Dense(units=2),
        ),
        read_state_dict(saved(model)),
        None,
        ordered=True,
    )
    rows = np.random.default_rng(0).standard_normal((5, 36)).astype("f4")
    agrees(model, network, rows, (5, 1, 6, 6))


def test_a_transformer_and_a_gru_of_torch_mean_the_same_here():
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.gru = torch.nn.GRU(8, 5, batch_first=True)
            self.head = torch.nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.gru(self.encoder(x))[0][:, -1])

    model = Model()
    layers = (
        k.Reshape(shape=(4, 8)),
        k.TransformerEncoder(heads=2, feedforward=16),
        k.Gru(units=5, every_step=False),
        k.Dense(units=3),
    )
    network = network_with(config(32, 3, *layers), read_state_dict(saved(model)), None, ordered=True)
    rows = np.random.default_rng(0).standard_normal((5, 32)).astype("f4")
    agrees(model, network, rows, (5, 4, 8))


ARRAYS = {
    "fc10.weight": np.full((2, 3), 10, "f4"),
    "fc10.bias": np.zeros(2, "f4"),
    "fc9.weight": np.full((3, 3), 9, "f4"),
}
DENSE = config(3, 2, k.Dense(units=3), k.Dense(units=2))


def test_numbers_in_names_tell_the_order_of_a_file_that_is_sorted_by_name():
    network = network_with(DENSE, read_safetensors(safetensors.save(ARRAYS)), None, ordered=False)
    assert network.layers[0].tensors["weight"][0, 0] == 9
    assert network.layers[0].tensors["bias"].tolist() == [0, 0, 0]


def test_names_that_tell_no_order_must_be_listed():
    arrays = {"out.weight": np.ones((3, 3), "f4"), "in.weight": np.full((3, 3), 2, "f4")}
    square = config(3, 3, k.Dense(units=3), k.Dense(units=3))
    loaded = read_safetensors(safetensors.save(arrays))
    assert "do not tell the order" in refusal(network_with, square, loaded, None, ordered=False)
    network = network_with(square, loaded, ("in", "out"), ordered=False)
    assert network.layers[0].tensors["weight"][0, 0] == 2


@pytest.mark.parametrize(
    ("arrays", "prefixes", "message"),
    [
        (
            ARRAYS | {"extra.weight": np.ones(1, "f4")},
            None,
            "1 tensors of the file belong to no layer: extra.w",
        ),
        (
            {"fc9.weight": ARRAYS["fc9.weight"]},
            None,
            "no tensor is left that ends with 'weight', for layer 1",
        ),
        (ARRAYS, ("fc9",), "1 names for 2 layers"),
        (ARRAYS, ("fc9", "fc11"), "the tensor 'fc11.weight' is not there"),
        (ARRAYS, ("fc10", "fc9"), "its weights are weight [2, 3]"),
        (ARRAYS | {"fc10.bias": np.array(["a", "b"])}, None, "its numbers are of type"),
        (
            ARRAYS | {"fc10.bias": np.float32([np.nan, 0])},
            ("fc9", "fc10"),
            "the weights 1.bias are not all finite",
        ),
        (
            ARRAYS | {"fc9.running_mean": np.ones(3, "f4"), "fc9.running_var": np.ones(3, "f4")},
            None,
            "is a batch normalisation and its layer is not one",
        ),
    ],
)
def test_weights_that_do_not_fit_the_header_are_refused(arrays, prefixes, message):
    assert message in refusal(network_with, DENSE, arrays, prefixes, ordered=True)


@pytest.mark.parametrize("cut", [0, 5, 20, 60, -1])
def test_a_truncated_safetensors_file_is_refused(cut):
    assert "safetensors file" in refusal(read_safetensors, safetensors.save(ARRAYS)[:cut])


def test_a_safetensors_header_that_claims_more_than_there_is_is_refused():
    head = b'{"a":{"dtype":"F32","shape":[1000000000,1000000000],"data_offsets":[0,4000000000000000000]}}'
    data = len(head).to_bytes(8, "little") + head
    assert "not readable" in refusal(read_safetensors, data)
    assert "not readable" in refusal(read_safetensors, (1 << 60).to_bytes(8, "little") + head)


def test_code_in_a_torch_file_is_never_run(tmp_path):
    torch = pytest.importorskip("torch")

    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("yes",))

    buffer = io.BytesIO()
    torch.save({"weight": Evil()}, buffer)
    assert "torch file: it is not readable as weights" in refusal(read_state_dict, buffer.getvalue())
    assert not (tmp_path / "ran").exists()


def test_a_torch_file_of_something_else_is_refused():
    assert "something else than a mapping" in refusal(read_state_dict, saved([1, 2]))
    assert "not a readable archive" in refusal(read_state_dict, b"PK\x03\x04 nothing")


def test_a_view_that_claims_more_numbers_than_the_file_has_is_refused_before_it_is_copied():
    torch = pytest.importorskip("torch")
    views = {"weight": torch.zeros(1).expand(1 << 20, 1 << 20)}
    assert "is too large" in refusal(read_state_dict, saved(views))


def test_an_archive_of_a_version_nobody_has_written_yet_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    data = buffer.getvalue()
    entry = data.index(b"PK\x01\x02")
    assert "not a readable archive" in refusal(
        read_state_dict, data[: entry + 6] + b"\x5a" + data[entry + 7 :]
    )


def test_a_compressed_archive_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 20))
    assert "compressed archive" in refusal(read_state_dict, buffer.getvalue())
