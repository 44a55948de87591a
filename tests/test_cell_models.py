"""Every cell model keeps the contract of zoo.cell_model; a new file is covered by being there."""

import copy
import functools
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from drawn import ATTRIBUTES, CLASSES, TinyStages, fields
from torch import Tensor, nn

from zoo import registry
from zoo.cell_layers import AttributeHead, Pyramid, freeze
from zoo.cell_masks import tight
from zoo.cell_model import CellModel, FieldKind
from zoo.cell_models.mask_rcnn import MaskRCNN
from zoo.cells import Cells
from zoo.errors import ZooError
from zoo.pipeline.cells.train import learning

NAMES = registry.own("cell_models")
SMALL = {
    "hemax": {"dim": "32", "heads": "8", "layers": "1", "feedforward": "32", "dropout": "0", "frozen": "false"},
    "cellnet": {"width": "16"},
    "mask_rcnn": {"width": "16", "hidden": "32"},
}
KIND = FieldKind(CLASSES, ATTRIBUTES, 64, 96, True, 3)


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> CellModel:
    return registry.build("cell_models", request.param, SMALL.get(request.param))


def begun(model: CellModel, kind: FieldKind = KIND, batches: Sequence[tuple[Tensor, list[Cells]]] = ()) -> nn.Module:
    """A network before its first step."""
    network = model.network(kind, TinyStages(), 0)
    model.prepare(network, batches or [fields(range(6)), fields(range(6, 12), 1)])
    return network


def taught(model: CellModel, network: nn.Module, images: Tensor, truth: Sequence[Cells], steps: int) -> list[float]:
    """The losses of a few steps on one batch."""
    if not model.epochs:
        return []
    optimiser = torch.optim.AdamW(model.groups(network), weight_decay=model.decay)
    for group in optimiser.param_groups:
        group["lr"] = 2e-3
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(steps):
            loss = model.loss(network.train(), images, truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    return losses


@functools.cache
def trained(model: CellModel) -> tuple[nn.Module, list[float]]:
    network = begun(model)
    images, truth = fields(range(4))
    return network, taught(model, network, images, truth, 24 if isinstance(model, MaskRCNN) else 40)


def keeps_the_contract(found: Cells, kind: FieldKind = KIND) -> None:
    k = len(found.labels)
    assert found.masks is not None
    shapes = (found.labels.shape, found.boxes.shape, found.masks.shape, found.attributes.shape, found.scores.shape)
    assert shapes == ((k,), (k, 4), (k, kind.height, kind.width), (k, len(kind.attributes)), (k,))
    types = (found.labels, found.boxes, found.masks, found.attributes, found.scores)
    assert [part.dtype for part in types] == [np.int64, np.float32, np.uint8, np.int64, np.float32]
    assert ((found.labels >= 0) & (found.labels < kind.classes)).all()
    assert ((found.attributes >= 0) & (found.attributes < np.array(kind.attributes))).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, :2] <= found.boxes[:, 2:]).all()
    assert (found.boxes[:, 2:] <= (kind.width, kind.height)).all()
    assert found.masks.max(initial=0) <= 2
    assert ((found.masks > 0).sum(0) <= 1).all()


def test_a_few_steps_lower_the_loss_and_what_is_found_keeps_the_contract(model: CellModel) -> None:
    network, losses = trained(model)
    assert bool(losses) == (model.epochs > 0)
    assert not losses or np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    images, _ = fields(range(4))
    found = model.find(network.eval(), images)
    assert len(found) == 4
    for cells in found:
        keeps_the_contract(cells)


@pytest.mark.parametrize("name", ["cellnet", "watershed"])
def test_cells_of_new_fields_are_found_by_what_learns_fast(name: str) -> None:
    model = registry.build("cell_models", name, SMALL.get(name))
    network, _ = trained(model)
    images, truth = fields(range(100, 104))
    hits = []
    for true, cells in zip(truth, model.find(network.eval(), images), strict=True):
        assert true.masks is not None
        assert cells.masks is not None
        for mask in true.masks > 0:
            overlaps = [(mask & (one > 0)).sum() / (mask | (one > 0)).sum() for one in cells.masks]
            hits.append(max(overlaps, default=0) > 0.5)
    assert np.mean(hits) >= 0.75


def test_gradients_reach_the_backbone(model: CellModel) -> None:
    if not model.epochs:
        pytest.skip("takes no gradient steps")
    network = begun(model).train()
    images, truth = fields(range(4))
    model.loss(network, images, truth).backward()
    backbone = network.backbone
    assert isinstance(backbone, TinyStages)
    gradients = [parameter.grad for parameter in backbone.parameters() if parameter.requires_grad]
    assert gradients
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert sum(float(gradient.abs().sum()) for gradient in gradients if gradient is not None) > 0


def test_the_same_seed_gives_the_same_network_and_the_same_steps(model: CellModel) -> None:
    images, truth = fields(range(2))
    states = []
    for _ in range(2):
        network = begun(model)
        taught(model, network, images, truth, 2)
        states.append(network.state_dict())
    assert list(states[0]) == list(states[1])
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def test_everything_that_find_needs_is_in_the_state(model: CellModel) -> None:
    network, _ = trained(model)
    other = model.network(KIND, TinyStages(1), 1)
    other.load_state_dict(copy.deepcopy(network.state_dict()))
    images, _ = fields(range(2))
    for one, two in zip(model.find(network.eval(), images), model.find(other.eval(), images), strict=True):
        for a, b in zip(one, two, strict=True):
            assert np.array_equal(a, b)  # type: ignore[arg-type]


def test_what_is_given_stays_as_it_is(model: CellModel) -> None:
    network = begun(model)
    images, truth = fields(range(2))
    before = images.clone(), copy.deepcopy(truth)
    taught(model, network, images, truth, 1)
    model.find(network.eval(), images)
    assert torch.equal(images, before[0])
    for a, b in zip(itertools.chain(*truth), itertools.chain(*before[1]), strict=True):
        assert np.array_equal(a, b)  # type: ignore[arg-type]


@pytest.mark.parametrize("cells", [0, 1])
def test_a_field_without_cells_is_no_mistake(model: CellModel, cells: int) -> None:
    """Neither in a batch of such fields, nor beside one that has a cell."""
    network = begun(model)
    images, truth = fields([1, 2], 0)
    more, known = fields([3], cells)
    images, truth = torch.cat([images, more]), truth + known
    losses = taught(model, network, images, truth, 2)
    assert np.isfinite(losses).all()
    for found in model.find(network.eval(), images):
        keeps_the_contract(found)


def test_boxes_alone_are_enough(model: CellModel) -> None:
    images, truth = fields(range(4))
    truth = [one._replace(masks=None) for one in truth]
    kind = KIND._replace(masks=False)
    network = begun(model, kind, [(images, truth)])
    losses = taught(model, network, images, truth, 2)
    assert np.isfinite(losses).all()
    for found in model.find(network.eval(), images):
        keeps_the_contract(found, kind)


def test_unknown_attributes_are_no_part_of_the_loss(model: CellModel) -> None:
    images, truth = fields(range(4))
    unknown = [one._replace(attributes=np.full_like(one.attributes, -1)) for one in truth]
    network = begun(model, batches=[(images, unknown)])
    if not model.epochs:
        for found in model.find(network.eval(), images):
            keeps_the_contract(found)
        return
    torch.manual_seed(0)
    model.loss(network.train(), images, unknown).backward()
    heads = [part for part in network.modules() if isinstance(part, AttributeHead)]
    assert heads
    for head in heads:
        assert head.layer is not None
        gradient = head.layer.weight.grad
        assert gradient is None or not gradient[-sum(ATTRIBUTES) :].any()


def test_cells_of_unknown_class_are_found_all_the_same(model: CellModel) -> None:
    images, truth = fields(range(4))
    mixed = [one._replace(labels=np.where(np.arange(len(one.labels)) > 0, -1, one.labels)) for one in truth]
    for some in (mixed, [one._replace(labels=np.full_like(one.labels, -1)) for one in truth]):
        network = begun(model, batches=[(images, some)])
        assert np.isfinite(taught(model, network, images, some, 2)).all()
        for found in model.find(network.eval(), images):
            keeps_the_contract(found)


def test_no_attributes_at_all(model: CellModel) -> None:
    kind = KIND._replace(attributes=())
    images, truth = fields(range(4))
    truth = [one._replace(attributes=one.attributes[:, :0]) for one in truth]
    network = begun(model, kind, [(images, truth)])
    assert np.isfinite(taught(model, network, images, truth, 1)).all()
    for found in model.find(network.eval(), images):
        keeps_the_contract(found, kind)


def test_any_size_of_field(model: CellModel) -> None:
    """One that no stride divides."""
    kind = KIND._replace(height=75, width=70)
    images, truth = fields(range(3), 1, 75, 70)
    network = begun(model, kind, [(images, truth)])
    assert np.isfinite(taught(model, network, images, truth, 1)).all()
    for found in model.find(network.eval(), images):
        keeps_the_contract(found, kind)


def test_masks_decide_the_boxes_where_the_training_fields_draw_them_so() -> None:
    model = registry.build("cell_models", "cellnet", SMALL["cellnet"])
    network, _ = trained(model)
    images, truth = fields(range(4))
    for found in model.find(network.eval(), images):
        assert found.masks is not None
        np.testing.assert_array_equal(found.boxes, tight(found.masks))
    loose = [one._replace(boxes=one.boxes + np.array([-4, -4, 4, 4], np.float32)) for one in truth]
    assert not begun(model, batches=[(images, loose)]).tight


def test_without_explanations_there_is_nothing_that_explains() -> None:
    model = registry.build("cell_models", "cellnet", {**SMALL["cellnet"], "explains": "false"})
    network, _ = trained(model)
    images, _ = fields(range(4))
    assert network.region is None
    cells = [one for one in model.find(network.eval(), images) if len(one.labels)]
    assert cells
    for found in cells:
        assert found.masks is not None
        assert not found.attributes.any()
        assert found.masks.max() == 1
        keeps_the_contract(found)


def test_hemax_is_taught_the_largest_cells_where_there_are_more_than_queries() -> None:
    model = registry.build("cell_models", "hemax", {**SMALL["hemax"], "queries": "2"})
    images, truth = fields(range(2), 3)
    network = begun(model).train()
    areas = [np.prod(one.boxes[:, 2:] - one.boxes[:, :2], axis=1) for one in truth]
    rows = [np.sort(np.argsort(-area, kind="stable")[:2]) for area in areas]
    fewer = [
        Cells(one.labels[row], one.boxes[row], one.masks[row], one.attributes[row], one.scores[row])
        for one, row in zip(truth, rows, strict=True) if one.masks is not None
    ]  # fmt: skip
    with torch.no_grad():
        assert torch.equal(model.loss(network, images, truth), model.loss(network, images, fewer))
    assert all(len(found.labels) <= 2 for found in model.find(network.eval(), images))


def test_the_quirk_teaches_attributes_to_queries_that_stand_for_nothing() -> None:
    images, truth = fields(range(2), 0)
    for quirk in ("false", "true"):
        model = registry.build("cell_models", "hemax", {**SMALL["hemax"], "quirk": quirk})
        network = begun(model).train()
        model.loss(network, images, truth).backward()
        taught_words = [bool(parameter.grad is not None and parameter.grad.any())
                        for name, parameter in network.named_parameters() if "said." in name]  # fmt: skip
        assert taught_words == [quirk == "true"] * 2


def test_hemax_keeps_batch_norm_and_leaves_early_stages_alone() -> None:
    model = registry.build("cell_models", "hemax", {**SMALL["hemax"], "frozen": "true"})
    backbone = registry.backbone("test_resnet", None, False, 0)
    network = model.network(KIND, backbone, 0)
    learning(network)
    norms = [(name, part) for name, part in backbone.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for _, norm in norms)
    rest = {name: parameter.requires_grad for name, parameter in backbone.named_parameters()
            if not name.startswith(tuple(norm for norm, _ in norms))}  # fmt: skip
    early = ("network.conv1.", "network.layer1.")
    assert any(name.startswith(early[1]) for name in rest)
    assert any(rest.values())
    assert all(learns != name.startswith(early) for name, learns in rest.items())
    assert network.training


@pytest.mark.parametrize("levels", [0, 1, 2, 9])
def test_only_what_leads_to_the_first_levels_is_frozen(levels: int) -> None:
    """A ResNet's first map is that of its stem, the second that of its first stage; its last stage always learns."""
    backbone = registry.backbone("test_resnet", None, False, 0)
    freeze(backbone, levels)
    stages = ("network.conv1.", "network.layer1.", "network.layer2.", "network.layer3.", "network.layer4.")
    learns = [{parameter.requires_grad for name, parameter in backbone.named_parameters() if name.startswith(stage)}
              for stage in stages]  # fmt: skip
    assert learns == [{place >= min(levels, 4)} for place in range(5)]


@pytest.mark.parametrize("name", ["attribute_heads", "cellnet", "mask_rcnn"])
def test_every_level_of_a_pretrained_backbone_learns_where_that_is_asked_for(name: str) -> None:
    model = registry.build("cell_models", name, {**SMALL.get(name, {}), "frozen": "0"})
    network = model.network(KIND._replace(pretrained=True), registry.backbone("test_resnet", None, False, 0), 0)
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("name", ["attribute_heads", "cellnet", "mask_rcnn"])
def test_a_pretrained_backbone_keeps_its_finest_levels_in_training(name: str, pretrained: bool) -> None:
    model = registry.build("cell_models", name, SMALL.get(name))
    images, truth = fields(range(4))
    backbone = registry.backbone("test_resnet", None, False, 0)
    network = model.network(KIND._replace(pretrained=pretrained), backbone, 0)
    learning(network)
    before = {name: part.clone() for name, part in backbone.state_dict().items()}
    model.loss(network, images, truth).backward()
    torch.optim.AdamW(model.groups(network), weight_decay=0.1).step()
    early = ("network.conv1.", "network.bn1.", "network.layer1.")
    told = [name for name in before if name.endswith(("conv1.weight", "conv2.weight", "running_mean"))]
    kept = {name for name in told if before[name].equal(backbone.state_dict()[name])}
    assert kept == ({name for name in told if name.startswith(early)} if pretrained else set())


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"dim": "40"}, "multiple of 16"), ({"heads": "3"}, "multiple of 16"), ({"stride": "8"}, "16 or 32")],
)
def test_sizes_that_do_not_fit_are_said_in_one_line(settings: dict[str, str], said: str) -> None:
    model = registry.build("cell_models", "hemax", settings)
    with pytest.raises(ZooError, match=said):
        begun(model)


@pytest.mark.parametrize("stride", [16, 32])
def test_hemax_reads_places_a_stride_apart_and_draws_masks_at_an_eighth_of_it(stride: int) -> None:
    model = registry.build("cell_models", "hemax", {**SMALL["hemax"], "stride": str(stride)})
    network, images = begun(model).eval(), fields(range(2))[0]
    out = network(images)
    assert out.maps[0].shape[-2:] == (64 // stride, 96 // stride)
    masks = network.masks(out, torch.tensor([0]), torch.tensor([3]))  # type: ignore[operator]
    assert masks.shape == (1, 2, 8 * 64 // stride, 8 * 96 // stride)


def test_a_mask_of_hemax_ends_at_its_box() -> None:
    model = registry.build("cell_models", "hemax", SMALL["hemax"])
    network, images = begun(model).eval(), fields(range(4))[0]
    network.get_parameter("mask_head.output_conv.bias").data.fill_(1e3)  # every pixel is of every cell
    network.get_parameter("label.bias").data[-1] = -1e3  # and every query stands for one
    for found in model.find(network, images):
        assert len(found.labels) == model.queries  # type: ignore[attr-defined]
        assert found.masks is not None
        assert found.masks.any()
        places = tight(found.masks)[found.masks.any((1, 2))]
        boxes = found.boxes[found.masks.any((1, 2))]
        assert (places[:, :2] >= boxes[:, :2] - 0.5).all()
        assert (places[:, 2:] <= boxes[:, 2:] + 0.5).all()


@pytest.mark.parametrize("size", [0.01, 100.0])
def test_the_transformer_of_hemax_begins_with_maps_of_one_size(size: float) -> None:
    """Whatever the backbone's are."""
    model = registry.build("cell_models", "hemax", SMALL["hemax"])
    network, batch = model.network(KIND, TinyStages(), 0), fields(range(8))
    with torch.no_grad():
        for parameter in network.project.parameters():
            parameter *= size
    model.prepare(network.eval(), [batch])
    with torch.no_grad():
        assert float(network(batch[0]).maps[0].square().mean()) == pytest.approx(1, abs=1e-3)


def test_watershed_says_what_it_cannot_do() -> None:
    model = registry.build("cell_models", "watershed")
    images, truth = fields(range(2), 0)
    with pytest.raises(ZooError, match="no training field has a cell"):
        begun(model, batches=[(images, truth)])
    with pytest.raises(ZooError, match="no gradient steps"):
        model.loss(begun(model), images, truth)


def test_the_backbone_has_a_learning_rate_of_its_own() -> None:
    model = registry.build("cell_models", "hemax", SMALL["hemax"])
    network = begun(model)
    rates = {group["lr"] for group in model.groups(network)}
    assert sorted(rates) == pytest.approx([1e-5, 1e-4])
    grouped = sum(len(group["params"]) for group in model.groups(network))
    assert grouped == sum(parameter.requires_grad for parameter in network.parameters())
    still = registry.build("cell_models", "cellnet", {**SMALL["cellnet"], "backbone_rate": "0"})
    other = begun(still)
    assert isinstance(other.backbone, TinyStages)
    beside = {id(parameter) for parameter in other.backbone.parameters()}
    assert all(id(parameter) not in beside for group in still.groups(other) for parameter in group["params"])


@pytest.mark.parametrize("name", ["conv4", "test_vit", "test_resnet", "test_efficientnet"])
def test_any_backbone_gives_maps_at_the_strides_asked_for(name: str) -> None:
    backbone = registry.backbone(name, None, False, 0)
    pyramid = Pyramid(backbone, (4, 8, 32))
    size = (160, 160) if "vit" in name else (72, 90)
    maps = pyramid(backbone, torch.rand(2, 3, *size))
    wanted = [(2, c, -(-size[0] // stride), -(-size[1] // stride))
              for c, stride in zip(pyramid.channels, (4, 8, 32), strict=True)]  # fmt: skip
    assert [tuple(level.shape) for level in maps] == wanted
