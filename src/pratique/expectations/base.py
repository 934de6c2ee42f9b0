"""What the expectations share: the profile, the metrics, and the refusal to pass without having looked."""

# ruff: noqa: TID253
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render.components import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer.renderer import renderer

from pratique import profiles
from pratique.errors import CheckError
from pratique.profiles import counting

COUNTS = "table.pratique_profile_counts"
ROWS = "table.pratique_rows"
CODES = "table.pratique_codes"

Parameter = dict[str, Any]
"""A suite parameter: `{"$PARAMETER": name}`."""

Number = float | Parameter
"""A number, or a suite parameter that stands for one."""

Limits = Mapping[str, tuple[float, float]]
"""What the numbers of an expectation may be, both ends included. Beyond, it could not fail, or fails whatever it sees."""

ALPHA = (1e-9, 0.5)
"""An error rate of 0 would never fail."""

LEAST_ROWS = 20
"""A batch of fewer rows looks like the reference whatever it holds."""


class ProfileCounts(TableMetricProvider):
    """Rows per cell of the profile, for every column in one pass."""

    metric_name = COUNTS
    value_keys = ("profile",)

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805  (GX calls it with the class)
        execution_engine: Any,
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        metrics: Any,
        runtime_configuration: Any,
    ) -> counting.Counted:
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        return counting.count(frame, profiles.find(metric_value_kwargs["profile"]))


class Rows(TableMetricProvider):
    """The rows themselves, for what no summary can answer."""

    metric_name = ROWS
    value_keys = ()

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805  (GX calls it with the class)
        execution_engine: Any,
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        metrics: Any,
        runtime_configuration: Any,
    ) -> Any:
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        return frame


class ProfileExpectation(BatchExpectation, ABC):
    """An expectation about a whole table, against a profile.

    Subclasses set `metric_dependencies`, `limits` and `sentence`, and write `judge`.
    """

    profile: str | Parameter

    limits: ClassVar[Limits] = {}

    sentence: ClassVar[str]
    """What Data Docs say; `$name` stands for an argument."""

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: dict[str, Any] | None = None
    ) -> Any:
        """Refuse engines that the metrics cannot read, in words."""
        if execution_engine is not None and not isinstance(execution_engine, PandasExecutionEngine):
            raise CheckError(
                f"{type(self).__name__} reads pandas batches only, not those of {type(execution_engine).__name__}: "
                "could not evaluate"
            )
        return super().get_validation_dependencies(execution_engine, runtime_configuration)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        wanted = self._get_success_kwargs()
        for name, (low, high) in self.limits.items():
            if not low <= wanted[name] <= high:  # NaN is in no range
                raise CheckError(f"{name} is {wanted[name]}; it can be {low:g} to {high:g}")
        success, observed, details = self.judge(profiles.find(wanted["profile"]), metrics, wanted)
        return {"success": bool(success), "result": {"observed_value": observed, "details": details}}

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: dict[str, Any] | None = None, **more: Any
    ) -> list[Any]:
        found = configuration or getattr(result, "expectation_config", None)
        defaults = {name: field.default for name, field in cls.__fields__.items()}
        template = {
            "template": cls.sentence,
            "params": {**defaults, **(found.kwargs if found else {})},
            "styling": (runtime_configuration or {}).get("styling"),
        }
        return [RenderedStringTemplateContent(content_block_type="string_template", string_template=template)]

    @abstractmethod
    def judge(
        self, profile: profiles.Profile, metrics: dict[str, Any], wanted: dict[str, Any]
    ) -> tuple[bool, Any, dict[str, Any]]:
        """Whether the batch meets the expectation, the figure that decided, and details that JSON can hold.

        Raises:
            CheckError: it could not be evaluated, and why.
        """


class CountsExpectation(ProfileExpectation, ABC):
    """One that needs counts only."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (COUNTS,)


class RowsExpectation(ProfileExpectation, ABC):
    """One that needs every row."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (ROWS,)


def enough(rows: int) -> None:
    """Refuse to judge a batch that is too small to differ."""
    if rows < LEAST_ROWS:
        raise CheckError(f"the batch has {rows} rows; nothing can be said about fewer than {LEAST_ROWS}")
