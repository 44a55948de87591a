"""What the attribute explainer shows and what its words rest on: by hand, and in whole runs on made-up cells."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_attributes import wbcatt as _wbcatt
from tiny import TinyBackbone, TinyViT, classifier, heads, images, reading

import zoo
from zoo import registry
from zoo.attribute_heads import Reading, evidence
from zoo.board import attribute_tables, store, submit, terminal
from zoo.board import attributes as board
from zoo.board.published import Published
from zoo.data.attributes import COVERED
from zoo.errors import ZooError
from zoo.pipeline import cases, explain, explained, page
from zoo.pipeline.attributes import METRICS
from zoo.pipeline.evidence import SHARE, drops, phrases
from zoo.record import Record

wbcatt = _wbcatt
TARGET = torch.tensor([0, 1, 2, 2])


def test_evidence_of_a_mean_over_places_adds_up_to_the_score():
    backbone, found = TinyBackbone(), heads(6, 3)
    hidden = backbone.hidden(images(4)).detach()
    maps, probabilities = evidence(found, backbone, hidden)
    assert maps.shape == (4, 3, 4, 4)
    torch.testing.assert_close(probabilities, found.probabilities(backbone.embed(hidden)).detach())
    scores = (backbone.embed(hidden) @ found.weight).detach().split(found.sizes, dim=1)
    words = found.words(probabilities)
    for number, part in enumerate(scores):
        margin = part.gather(1, words[:, [number]]).squeeze(1) - part.mean(1)
        torch.testing.assert_close(maps[:, number].sum((1, 2)), margin)


def test_a_backbone_without_a_mean_over_places_is_read_all_the_same():
    backbone = TinyViT()
    maps, _ = evidence(heads(16, 3), backbone, backbone.hidden(images(2)))
    assert maps.shape == (2, 3, 4, 4)
    assert maps.isfinite().all()
    assert maps.abs().amax() > 0


def test_arguments_and_changes_by_hand():
    found = heads(6, 3)
    words = torch.tensor([[1, 2, 0]])
    marked = torch.tensor([[0.0, 1, 0, 0, 1, 1, 0]])
    torch.testing.assert_close(found.classes(words), marked @ found.class_weight.T + found.class_bias)
    whole = (found.class_weight - found.class_weight.mean(0))[1] * (marked - found.usual)
    expected = torch.stack([whole[0, :2].sum(), whole[0, 2:5].sum(), whole[0, 5:].sum()])
    torch.testing.assert_close(found.arguments(words, torch.tensor([1]))[0], expected)
    likely = torch.tensor([[0.2, 0.8, 0.3, 0.1, 0.6, 0.9, 0.1]])
    changed = found.changed(likely)
    for number, other in enumerate(([0, 2, 0], [1, 0, 0], [1, 2, 1])):
        torch.testing.assert_close(changed[:, number], found.classes(torch.tensor([other])))


def test_the_map_is_the_evidence_of_what_argues_for_the_class():
    fitted = classifier(TinyBackbone())
    found = registry.explainer("attributes").explain(fitted, images(4), TARGET, 0)
    own: Reading = fitted.attributes
    maps, likely = evidence(own.heads, own.backbone, own.backbone.hidden(images(4)))
    arguments = own.heads.arguments(own.heads.words(likely), TARGET)
    for image in range(4):
        expected = torch.zeros(4, 4)
        for number in range(3):
            one = maps[image, number]
            counts = [a > 0 and m.max() > 0 for a, m in zip(arguments[image], maps[image], strict=True)]
            weight = float(arguments[image, number]) * bool(counts[number]) if any(counts) else 1.0
            one = one.clamp_min(0) if one.max() > 0 else one - one.min()
            expected += weight * one / one.sum()
        torch.testing.assert_close(found.saliency[image], expected)
    floor = registry.explainer("attributes", {"heads": "permuted"}).explain(fitted, images(4), TARGET, 0)
    assert not torch.equal(floor.saliency, found.saliency)


def test_without_heads_there_is_no_explanation():
    bare = replace(classifier(TinyBackbone()), attributes=None)
    with pytest.raises(ZooError, match="needs attribute heads: use it through `zoo run` on pbc or smear"):
        registry.explainer("attributes").explain(bare, images(1), TARGET[:1], 0)


@pytest.mark.parametrize("own_maps", [True, False])
def test_drops_are_those_of_pixels_taken_away_by_hand(own_maps):
    fitted, pictures, fill = classifier(TinyBackbone(neck=True)), images(3), torch.tensor([0.1, 0.6, 0.3])
    maps = images(3, seed=5)[:, : 3 if own_maps else 1]
    own: Reading = fitted.attributes
    found = drops(own, fitted, pictures, maps, fill, TARGET[:3], 2.0)
    for image in range(3):
        whole = own.heads.probabilities(fitted.backbone(pictures[[image]]))
        words = own.heads.words(whole)
        sure = (fitted(pictures[[image]]) / 2).softmax(1)[0, TARGET[image]]
        lost, lost_of_class = [], []
        for number in range(maps.shape[1]):
            order = maps[image, number].flatten().argsort(descending=True)
            without = pictures[image].clone().flatten(1)
            without[:, order[: round(SHARE * 256)]] = fill[:, None]
            without = without.view(1, 3, 16, 16)
            fall = own.heads.likelihood(whole, words) - own.heads.likelihood(
                own.heads.probabilities(fitted.backbone(without)), words
            )
            lost.append(fall[0, number] if own_maps else fall[0].mean())
            lost_of_class.append(sure - (fitted(without) / 2).softmax(1)[0, TARGET[image]])
        torch.testing.assert_close(found.attribute[image], torch.stack(lost).mean())
        torch.testing.assert_close(found.target[image], torch.stack(lost_of_class).mean())


def test_an_adapted_backbone_is_told_apart_from_the_one_with_heads():
    """Where an episode changed the backbone, class and words come from two networks."""
    fitted, other = classifier(TinyBackbone()), TinyBackbone(neck=True)
    fitted = replace(fitted, attributes=reading(other, 3))
    found = drops(fitted.attributes, fitted, images(2), images(2, seed=5)[:, :1], torch.zeros(3), TARGET[:2], 1.0)
    assert found.attribute.isfinite().all()
    alone = replace(fitted, backbone=other, support_hidden=other.hidden(images(6, seed=1)).detach())
    same = drops(fitted.attributes, alone, images(2), images(2, seed=5)[:, :1], torch.zeros(3), TARGET[:2], 1.0)
    torch.testing.assert_close(found.attribute, same.attribute)
    assert not torch.allclose(found.target, same.target)


def test_phrases_name_what_the_heads_say():
    backbone = TinyBackbone()
    own = reading(backbone, 3)
    assert phrases(own, images(2)) == [""] * 2  # none of the made-up names is a word of the vocabulary


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few queries, and of the metrics those of attributes alone."""
    monkeypatch.setattr(explained, "ask", lambda bank, count: explain.ask(bank, 4))
    monkeypatch.setattr(explained, "metrics_for", lambda names, *more: explain.metrics_for(
        [name for name in names if name in METRICS], *more
    ))


CHOICES = {"dataset": "pbc", "way": 8, "shot": 2, "bank": "all", "episodes": 1, "backbone": "conv4", "device": "cpu"}


def test_a_run_tells_attributes_beside_the_class(wbcatt, few, tmp_path, monkeypatch):
    texts: list[str] = []
    write = page.Page.text

    def heard(self: page.Page, x: float, y: float, text: str, *more: Any, **named: Any) -> None:
        texts.append(text)
        write(self, x, y, text, *more, **named)

    monkeypatch.setattr(page.Page, "text", heard)
    monkeypatch.setattr(cases, "phrases", lambda _, shown: [f"words of query {n}" for n in range(len(shown))])
    result = zoo.run("prototypical", "attributes", out=tmp_path / "runs", **CHOICES)
    record = store.read(result.path)
    found = record.explanations
    assert found is not None
    told = found.attributes
    assert told is not None
    assert found.rows["permuted_attributes"].floor
    assert not found.rows["attributes"].floor
    assert set(found.rows["attributes"].values) == set(found.rows["random"].values) == set(METRICS)
    truth, groups = np.array(record.predictions.truth), np.array(record.predictions.groups)
    assert board.figures(told, truth, groups) == told.figures
    assert not [line for line in submit._explanation_problems(record) if "attributes" in line]
    assert told.figures["heads.accuracy.cell_size"].value > told.figures["permuted.accuracy.cell_size"].value
    uncovered = [k for k, name in enumerate(record.predictions.items) if name.split("/")[0] not in COVERED]
    assert uncovered
    assert all(told.truth["cell_size"][k] == 0 for k in uncovered)
    assert "words of query 0" in texts, "the gallery says them"
    shown = board_text(record)
    assert "class from the attributes alone" in shown
    assert "cell size" in shown
    changed = told.model_copy(update={"figures": told.figures | {"heads.class": told.figures["heads.accuracy.mean"]}})
    worse = record.model_copy(update={"explanations": found.model_copy(update={"attributes": changed})})
    assert any("attributes.figures.heads.class" in line for line in submit._explanation_problems(worse))


def board_text(record: Record) -> str:
    from rich.console import Console

    from zoo.board import rows

    console = Console(width=400)
    with console.capture() as capture:
        console.print(terminal.show(record, Published(())))
    return capture.get() + "\n".join(attribute_tables.section(rows.boards([record])[0]))


def test_the_vocabulary_of_hemax_alone_and_a_record_without_attributes(wbcatt, few, tmp_path):
    result = zoo.run("knn", "attributes", out=tmp_path, settings={"vocabulary": "hemax"}, **CHOICES)
    told = result.record.explanations and result.record.explanations.attributes
    assert told
    assert len(told.words) == 5
    assert "heads.accuracy.hemax" in told.figures
    content = result.record.model_dump(mode="json")
    content["explanations"].pop("attributes")
    old = Record.model_validate(content)
    assert old.explanations
    assert old.explanations.attributes is None


def test_a_dataset_without_attributes_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ZooError, match="nothing is known of nowhere; use --dataset pbc or smear"):
        zoo.run("prototypical", "attributes", out=tmp_path, dataset="nowhere")
