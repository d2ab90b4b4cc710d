"""Know the final prediction, and stop at the first layer that makes it."""

from eebench.policy import Bools, Bound, Hindsight


class Oracle(Bound):
    """Stop at the first layer whose prediction is the final one, which only hindsight can tell."""

    formula = "first k whose top-1 is the final top-1"
    source = "bound: CALM's oracle (Schuster et al. 2022, arXiv 2207.07061)"

    def could_stop(self, hindsight: Hindsight) -> Bools:
        top1 = hindsight.all_layers("top1")
        agrees: Bools = top1 == top1[-1]
        return agrees
