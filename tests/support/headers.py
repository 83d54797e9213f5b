"""Headers of LoRA files that say nothing, though they try: by key, what no reader may trip over."""

from __future__ import annotations

KEYS = (
    *("modelspec.trigger_phrase", "ss_trigger_words", "ss_tag_frequency", "ss_dataset_dirs", "ss_datasets"),
    *("ss_reg_dataset_dirs", "lora_adapter_metadata", "ot_config", "modelspec.architecture"),
    *("ss_base_model_version", "base_model", "ss_network_args", "__proto__", ""),
)
_MANY = "9" * 4000
TEXTS = {
    "lists in lists": "[" * 3000,
    "whole lists in lists": "[" * 3000 + "]" * 3000,
    "tables in tables": '{"a":' * 3000 + "1" + "}" * 3000,
    "tables in a table": '{"a":' + '{"b":' * 900 + "{}" + "}" * 901,
    "a count of many digits": f'{{"a": {{"ohwx": {_MANY}, "cat": -{_MANY}}}}}',
    "a number of more digits": "9" * 5000,
    "numbers": '{"a": {"x": 1e999, "y": -1e999, "z": NaN, "w": Infinity, "v": 1.7e308}, "b": {"v": 1.7e308}}',
    "an alpha of many digits": f'{{"transformer.lora_alpha": {_MANY}}}',
    "tags that are no table": '{"a": [1, 2], "b": "c", "c": null, "d": 3}',
    "sets that are none": '[null, 3, {"subsets": [null, 3, {"image_dir": []}]}, {"subsets": {}}]',
    "half a character": '{"a": {"\\ud800": 5, "\\u0000": 5}}',
    "the start of JSON": '{"a": {"b": 1',
    "blanks": " \n\t\x00\x0b",
    "nothing": "None",
    "terminal": "\x1b[2J",
}
LONG = '["' + "a" * (1 << 22) + '"]'


def hostile(key: str, text: str) -> dict[str, str]:
    """A header of one hostile text, beside what every trainer writes."""
    return {"ss_network_dim": "4", key: TEXTS[text]}
