"""MAML: learns weights from which a few gradient steps on the supports, through the whole backbone, suffice."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.episodic import Episodic
from zoo.inner import FewSteps, Learner, learn2learn
from zoo.types import Backbone


@dataclass(frozen=True)
class MAML(FewSteps, Episodic):
    """Finn, Abbeel & Levine, ICML 2017, on learn2learn: the queries' loss after the steps is followed back to the
    weights before them. Ours: a head that starts from zero on unit embeddings, and the first-order form unless asked
    otherwise."""

    paper: ClassVar[str] = "Finn et al., Model-Agnostic Meta-Learning, ICML 2017, arXiv 1703.03400"
    epochs: int = 5
    """Rounds through the training images, in episodes; 0 = the backbone as it is given."""
    first_order: bool = True
    """Whether the gradient leaves out how the steps depend on the weights; false takes several times as long."""

    def objective(self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor) -> Tensor:
        support, query, truth = self.parts(images, labels)
        learner = Learner(backbone, len(support.classes))
        learner = learn2learn().algorithms.MAML(learner, self.step_rate, self.first_order).clone()
        for _ in range(self.steps):
            learner.adapt(F.cross_entropy(learner(support.features), support.labels), allow_unused=True)
        return F.cross_entropy(learner(query), truth)
