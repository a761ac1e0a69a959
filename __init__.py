"""The door for FiftyOne: a plugin (`register`) and a source of zoo models (the other four)."""

if __package__:
    import importlib.util
    import sys
    from pathlib import Path

    # At import, since FiftyOne then looks for the functions below: where the folder was downloaded
    # and nothing is installed, the library beside this file is found by its one name only so, in
    # worker processes too.
    if importlib.util.find_spec("ovsam_plugin") is None:
        sys.path.append(str(Path(__file__).resolve().parent))

    from ovsam_plugin.dataset.zoo import (  # noqa: F401
        download_model,
        load_model,
        parse_parameters,
        resolve_input,
    )

    def register(plugin):  # type: ignore[no-untyped-def]
        """Registers the operators that fiftyone.yml lists."""
        from ovsam_plugin.app.loading import prepare_process

        prepare_process()
        from .operators import OPERATORS, PANELS

        for operator in (*OPERATORS, *PANELS):
            plugin.register(operator)
