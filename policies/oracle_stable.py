"""Know all predictions to come, and stop at the first layer after which none changes."""

import numpy as np

from eebench.policy import Bools, Bound, Hindsight


class OracleStable(Bound):
    """Stop at the first layer from which the prediction stays the final one."""

    formula = "first k from which the top-1 stays the final top-1"
    source = "bound: the oracle for those who do not count a layer that is right by chance"

    def could_stop(self, hindsight: Hindsight) -> Bools:
        top1 = hindsight.all_layers("top1")
        agrees = top1 == top1[-1]
        stays: Bools = np.logical_and.accumulate(agrees[::-1])[::-1]
        return stays
