"""Written by `ovsam_plugin.dataset.zoo.install`: leads FiftyOne's zoo to the library."""

from ovsam_plugin.dataset.zoo import (
    download_model,
    load_model,
    parse_parameters,
    resolve_input,
)
