"""For test suites, ours and yours: the contract that every check must keep, and fakes that speak our public protocols."""

from pratique.testing.contract import assert_check_contract
from pratique.testing.fakes import MemorySigner, ScriptedCheck, StepArtifact, StepMetrics, folder_of

__all__ = ["MemorySigner", "ScriptedCheck", "StepArtifact", "StepMetrics", "assert_check_contract", "folder_of"]
