"""Compiled Kubeflow pipelines, looked at before anybody runs them: `pratique kfp lint pipeline.yaml`.

    report = lint(Path("pipeline.yaml").read_bytes(), what="pipeline.yaml")
    report.findings                       # what a run could do that its author did not mean

What the SDK compiles (PipelineSpec, `kfp/pipeline_spec/pipeline_spec.proto`) is executed as it stands: nothing in Kubeflow
looks at it again, and a compiled file can be edited. This room reads it without the SDK and without running anything.

    reading     bytes -> a pipeline: bounded, strict; what is not known is a finding
    graphs      where each input of a task comes from, through conditions, loops, exit handlers and sub-pipelines
    knowing     which executors are ours, by the code in them and not by their names
    linting     the rules

It is a guard-rail for authors and reviewers. The boundary is promotion itself, which believes no pipeline.
"""

from pratique.pipelines.linting import RULES as RULES
from pratique.pipelines.linting import lint as lint
