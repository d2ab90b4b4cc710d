"""Fitting the policies that learn, on calibration documents, once per policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eebench.policy import ExitPolicy, Hindsight, field_extra


def fit_all(settings: Sequence[ExitPolicy], calibration: Hindsight) -> list[ExitPolicy]:
    """The settings, those that learn with their `fitted` parameters filled in."""
    learned: dict[type[ExitPolicy], dict[str, Any]] = {}
    for policy in {type(setting): setting for setting in settings if setting.learns}.values():
        fitted = policy.fit(calibration)
        names = [name for name in type(policy).model_fields if field_extra(type(policy), name).get("fitted")]
        learned[type(policy)] = {name: getattr(fitted, name) for name in names}
    return [setting.model_copy(update=learned.get(type(setting), {})) for setting in settings]
