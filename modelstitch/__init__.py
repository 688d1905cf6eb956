"""Stitch neural networks together, and see how functionally similar their representations are.

    import modelstitch as ms

    result = ms.stitch(ms.Network(one), ms.Network(other), train=(images, labels), test=(images, labels))
    result.accuracy

The method is that of "Model Stitching: Looking For Functional Similarity Between Representations" (arXiv 2303.11277).
Torch is imported when one of these names is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelstitch.errors import ModelstitchError
    from modelstitch.networks.network import Network
    from modelstitch.public.result import Result, read
    from modelstitch.public.stitch import stitch
    from modelstitch.public.study import StudyResults, open_study

__version__ = "0.1.0"
__all__ = ["ModelstitchError", "Network", "Result", "StudyResults", "open_study", "read", "stitch"]

_PLACES = {
    "ModelstitchError": "modelstitch.errors",
    "Network": "modelstitch.networks.network",
    "Result": "modelstitch.public.result",
    "StudyResults": "modelstitch.public.study",
    "open_study": "modelstitch.public.study",
    "read": "modelstitch.public.result",
    "stitch": "modelstitch.public.stitch",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'modelstitch' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
