"""Fitting the policies that learn, on calibration documents, once per policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from eebench.errors import EEBenchError
from eebench.policy import ExitPolicy, Hindsight, field_extra
from eebench.progress import Progress, Silent
from eebench.replaying import ReadOnly, raised
from eebench.spec import PolicySpec, settings_for
from eebench.traces.trace import Trace


def fit_all(settings: Sequence[ExitPolicy], calibration: Hindsight) -> list[ExitPolicy]:
    """The settings, those that learn with their `fitted` parameters filled in.

    Raises:
        EEBenchError: there is nothing to learn from, a policy's `fit` raised, or what it learned is not what its
            parameters say.
    """
    learners = {type(setting): setting for setting in settings if setting.needs_fit}
    if learners and not calibration.all_layers("top1").size:
        names = " and ".join(policy.name for policy in learners)
        raise EEBenchError(f"{names} cannot learn: the task has no calibration documents; run more documents.")
    learned = {policy: _learned(setting, calibration) for policy, setting in learners.items()}
    return [_filled_in(setting, learned[type(setting)]) if setting.needs_fit else setting for setting in settings]


def fitted_settings(specs: Sequence[PolicySpec], trace: Trace, progress: Progress | None = None) -> list[ExitPolicy]:
    """The settings that specs mean on a traced model, those that learn fitted on the calibration documents.

    Where there are no calibration documents, policies that learn are left out with a warning.
    """
    settings = settings_for(specs, trace.num_layers)
    calibration = trace.in_part("calibration")
    if calibration.any():
        return fit_all(settings, trace.select(calibration))
    left_out = sorted({setting.name for setting in settings if setting.needs_fit})
    if left_out:
        (progress or Silent()).warn(f"{', '.join(left_out)} left out: no document here is one to learn from; run more.")
    return [setting for setting in settings if not setting.needs_fit]


def _learned(setting: ExitPolicy, calibration: Hindsight) -> dict[str, Any]:
    """Fitted parameter -> its value."""
    policy = type(setting)
    try:
        fitted = setting.fit(ReadOnly(calibration))
        return {name: getattr(fitted, name) for name in policy.model_fields if field_extra(policy, name).get("fitted")}
    except EEBenchError:
        raise
    except BaseException as error:  # a contributor's code may raise anything
        raise raised(setting.name, error, "while fitting", "`fit`") from error


def _filled_in(setting: ExitPolicy, learned: dict[str, Any]) -> ExitPolicy:
    """The setting with what was learned, checked: it must be plain numbers, kept as such with the results."""
    try:
        return type(setting).model_validate({**setting.model_dump(), **learned})
    except ValidationError as error:
        wrong = error.errors()[0]
        name = wrong["loc"][0] if wrong["loc"] else "a parameter"
        raise EEBenchError(f"policy {setting.name} learned {name} wrongly: {wrong['msg']}; mend its `fit`.") from None
