"""Every rule of the `artifact` check: how grave, what it means, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple

from pratique.checking import Finding, Severity

_LOW, _MEDIUM, _HIGH, _CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
_NO_PICKLE = "ask the supplier for safetensors (or JSON, for plain data): a pickle runs code when it is loaded"


class Rule(NamedTuple):
    """One rule."""

    severity: Severity
    meaning: str
    fix: str


RULES = {
    "pickle-global": Rule(_CRITICAL, "a pickle imports a class or a function, so loading it runs code", _NO_PICKLE),
    "pickle-in-archive": Rule(
        _CRITICAL, "a pickle inside an archive imports classes or functions, so loading it can run code", _NO_PICKLE
    ),
    "pickle-malformed": Rule(
        _HIGH,
        "a pickle is cut off, goes on behind its end, expands, or is not as a pickler writes it",
        "write the file again with pickle.dump from the data itself, or better as JSON",
    ),
    "checkpoint-malformed": Rule(
        _HIGH,
        "a PyTorch checkpoint, an archive of arrays or an array whose parts do not fit together exactly",
        "write the file again with the library's own function, or better as safetensors",
    ),
    "archive-malformed": Rule(
        _HIGH,
        "an archive that two readers would see in two ways, that leads elsewhere, or that is a decompression bomb",
        "ask for the files themselves, tensors as safetensors",
    ),
    "archive-not-allowed": Rule(
        _HIGH, "a zip archive, such as a PyTorch checkpoint", "ask for the files themselves, tensors as safetensors"
    ),
    "program-archive": Rule(
        _HIGH,
        "an archive of PyTorch that carries a program: torch.package, torch.export, PyTorch Mobile, or TorchScript unasked for",
        "save the state dict and build the model in your own code; `torchscript` in `formats` allows what only computes",
    ),
    "torchscript-unsafe": Rule(
        _CRITICAL,
        "a TorchScript program that does more than compute with tensors, or that could be read in two ways",
        "save the state dict and build the model in your own code, or take out what does not compute",
    ),
    "skops-global": Rule(
        _CRITICAL,
        "a skops file names a class or a function that no allow-list names",
        "ask the supplier for a model of the library's own classes",
    ),
    "skops-unsafe": Rule(
        _CRITICAL,
        "a skops file calls a method, an operator or a partial function, or makes what is no data",
        "ask the supplier for a model of the library's own classes",
    ),
    "skops-malformed": Rule(
        _HIGH,
        "a skops file whose tree and members do not fit together",
        "write the file again with skops.io.dump",
    ),
    "safetensors-malformed": Rule(
        _HIGH,
        "a header that is no header, or tensors that do not tile the file exactly",
        "ask for the file again, written by the safetensors library",
    ),
    "gguf-malformed": Rule(
        _HIGH,
        "a GGUF file whose keys, lengths or tensors do not account for each of its bytes",
        "ask for the file again, written by llama.cpp or its gguf package",
    ),
    "onnx-malformed": Rule(
        _HIGH,
        "an ONNX model with parts that are not known here, or with tensors that do not lie in the artifact as it says",
        "export the model again, with its external data in the same folder",
    ),
    "onnx-operator": Rule(
        _HIGH,
        "an ONNX model that needs code beside a runtime's own operators",
        "export the model to standard operators, or allow the domain if your runtime has it built in",
    ),
    "keras-object": Rule(
        _CRITICAL,
        "a Keras model whose configuration names what is not one of Keras' own classes that are but data, or a file to read",
        "ask for a model of Keras' own layers, without Lambda and custom objects; or for the weights alone",
    ),
    "keras-malformed": Rule(
        _HIGH, "a Keras archive with a member that is not as Keras writes it", "save the model again with model.save"
    ),
    "hdf5-malformed": Rule(
        _HIGH,
        "an HDF5 file that leads out of itself, needs a plug-in, or is of another structure than h5py writes by default",
        "write the file again with h5py and its default settings, or ask for safetensors",
    ),
    "hdf5-pickle": Rule(
        _CRITICAL, "an HDF5 file with a pickle in it, which PyTables and pandas load", "ask for the table as Parquet"
    ),
    "savedmodel-operator": Rule(
        _CRITICAL,
        "a SavedModel with an operator that is not known to only compute: it may open files, load libraries or run Python",
        "export the model again without it, or ask for the weights alone",
    ),
    "savedmodel-files": Rule(
        _CRITICAL,
        "a SavedModel that opens files in other ways than to restore and save its variables",
        "export the model again with tf.saved_model.save or model.export",
    ),
    "savedmodel-object": Rule(
        _HIGH, "a SavedModel with an object of a registered class", "export the model again without custom classes"
    ),
    "savedmodel-malformed": Rule(
        _HIGH,
        "a SavedModel or an index of its variables with parts that are not known here, or without its variables",
        "export the model again, without assets, and keep its folder together",
    ),
    "tflite-operator": Rule(
        _HIGH,
        "a TensorFlow Lite model that needs code beside a runtime's own operators (Flex, custom operators)",
        "convert the model again with builtin operators only",
    ),
    "tflite-malformed": Rule(
        _HIGH,
        "a TensorFlow Lite model with parts that are not known here, or that lie out of the file",
        "convert the model again",
    ),
    "raw-data-hidden": Rule(
        _HIGH,
        "a file of raw numbers with bytes that no model describes",
        "export the model again",
    ),
    "unprintable-name": Rule(
        _MEDIUM, "names of tensors hold control characters", "rename the tensors and write the file again"
    ),
    "json-malformed": Rule(
        _HIGH,
        "not JSON, too large or too deep, or a key twice in one object",
        "write it again with a JSON library: UTF-8, no key twice, no NaN",
    ),
    "remote-code-reference": Rule(
        _HIGH,
        "a key by which a known library imports or fetches code",
        "take the key out, or ask for a model that needs no code beside the library's own",
    ),
    "template-in-json": Rule(
        _HIGH, "a Jinja template in a JSON file", "take the template out, review it, and pass it in your own code"
    ),
    "template-unsafe": Rule(
        _CRITICAL,
        "a chat template that does what no chat template needs, or that could not be read",
        "take the template out, or ask for one that only puts the chat together",
    ),
    "template-file": Rule(_HIGH, "a Jinja template", "take it out, review it, and pass it in your own code"),
    "text-malformed": Rule(
        _HIGH,
        "text that is not UTF-8, holds control characters, or is too large",
        "write it again as UTF-8 text without control characters, or take it out",
    ),
    "yaml-malformed": Rule(
        _HIGH,
        "YAML with tags, merge keys, a key twice, cycles or too many levels, or that is none",
        "write it again with yaml.safe_dump",
    ),
    "xml-malformed": Rule(
        _HIGH,
        "XML with a document type, entities or another encoding than UTF-8, or that is neither PMML nor OpenVINO",
        "export the model again, without a document type",
    ),
    "xml-extension": Rule(
        _HIGH,
        "XML that needs an extension, another file or a program to mean anything",
        "export the model to the format's own elements",
    ),
    "parquet-malformed": Rule(
        _HIGH,
        "Parquet without its magic, or with a footer that does not lie within the file",
        "ask for the file again, written by a Parquet library",
    ),
    "parquet-python-object": Rule(
        _CRITICAL,
        "a Parquet schema that makes pyarrow before 14.0.1 unpickle (CVE-2023-47248)",
        "ask for the table with plain column types",
    ),
    "polyglot": Rule(
        _CRITICAL, "a file that is of two formats at once", "ask for the file again, written by the format's own library"
    ),
    "extension-mismatch": Rule(_HIGH, "content and name claim different formats", "name it after its content"),
    "format-not-allowed": Rule(
        _HIGH,
        "a format that was not asked for, or that nobody here can vouch for",
        "convert it to one of the allowed formats, or take it out",
    ),
    "unknown-format": Rule(
        _HIGH,
        "content that is of no known format, or text of a kind that loaders may act on",
        "take it out; if it is documentation, call it .txt or .md",
    ),
    "native-code": Rule(_CRITICAL, "a program or library for a machine, real or virtual", "take it out"),
    "code-file": Rule(
        _HIGH, "a program, by its name or its first line", "take it out; load the weights with a library's own classes"
    ),
    "install-file": Rule(
        _HIGH, "a file that tells an installer what to fetch and run", "take it out; pin what you install yourself"
    ),
    "empty-file": Rule(_LOW, "a file without a byte", "take it out"),
    "second-opinion": Rule(
        _CRITICAL,
        "another scanner that the policy asks takes the file for dangerous; a note if there are imports that it does not know",
        "take the file out, or ask the supplier for safetensors; where the scanner is wrong, waive it or leave the scanner out",
    ),
    "second-opinion-missing": Rule(
        _CRITICAL,
        "another scanner that the policy asks is not there, broke down, took too long or gave no answer that can be read",
        "install `pratique[second-opinions]` where the check runs; if the scanner cannot read the file, leave it out of "
        "`second_opinions`",
    ),
    "more-findings": Rule(
        _HIGH, "more was found than is listed; the severity is the gravest of the rest", "mend the others first"
    ),
}


def finding(rule: str, where: str, message: str, *, severity: Severity | None = None, fix: str = "") -> Finding:
    """A finding of that rule, with its severity and its remedy unless others are given."""
    known = RULES[rule]
    return Finding(
        rule=rule, severity=known.severity if severity is None else severity, message=message, where=where, fix=fix or known.fix
    )
