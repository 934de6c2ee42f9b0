"""For test suites, ours and yours: the contract that every check must keep, and fakes that speak our public protocols.

`FakeHub` and `FakeRegistry` are real servers on loopback: they serve `hf://` and `oci://`, to `pratique` and to anybody else.
"""

from pratique.testing.contract import assert_check_contract
from pratique.testing.fakes import MemorySigner, ScriptedCheck, StepArtifact, StepMetrics, folder_of, vouched
from pratique.testing.hub import FakeHub
from pratique.testing.loopback import Answer, Loopback, Request
from pratique.testing.registry import FakeRegistry, tar_of

__all__ = [
    "Answer", "FakeHub", "FakeRegistry", "Loopback", "MemorySigner", "Request", "ScriptedCheck", "StepArtifact", "StepMetrics",
    "assert_check_contract", "folder_of", "tar_of", "vouched",
]  # fmt: skip
