"""The whole suite as one class to inherit from."""

from hermes_checkpoints.testing.comparing import Comparing
from hermes_checkpoints.testing.crashing import Crashing
from hermes_checkpoints.testing.damage import Damaging
from hermes_checkpoints.testing.forgetting import Forgetting
from hermes_checkpoints.testing.hostile import Hostile
from hermes_checkpoints.testing.listing import Listing
from hermes_checkpoints.testing.reading import Reading
from hermes_checkpoints.testing.scope import Scoping
from hermes_checkpoints.testing.space import Space
from hermes_checkpoints.testing.taking import Taking


class BackendContract(Taking, Listing, Comparing, Reading, Forgetting, Space, Scoping, Hostile, Damaging, Crashing):
    """Every promise of :class:`hermes_checkpoints.contract.Backend`, as tests.

    Set ``backend_class``. A test that your backend cannot pass is named in
    ``expected_failures`` with the reason, never redefined: a redefined promise
    is another promise. More tests of your own are welcome beside them.
    """

    def __init_subclass__(cls, **named: object) -> None:
        """Raises ``TypeError`` for a redefined test, and for an expected failure of a test that is not there."""
        super().__init_subclass__(**named)
        suite = {name for above in BackendContract.__mro__ for name in vars(above) if name.startswith("test_")}
        if redefined := sorted(suite & vars(cls).keys()):
            raise TypeError(
                f"{cls.__qualname__} redefines {', '.join(redefined)}. "
                "Name what your backend cannot do in expected_failures, with the reason."
            )
        if unknown := sorted(name for name in cls.expected_failures if not callable(getattr(cls, name, None))):
            raise TypeError(f"{cls.__qualname__} expects failures of tests that do not exist: {', '.join(unknown)}")
