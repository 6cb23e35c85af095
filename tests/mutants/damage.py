"""Backends that do not notice what has changed in their store, or mend it with something else."""

from hermes_checkpoints.testing import MemoryBackend
from mutants import must_fail


@must_fail("test_a_changed_byte_is_found_and_what_it_costs_is_named")
class FindsNothing(MemoryBackend):
    def _check(self, entry, *, full):
        pass


@must_fail("test_damage_is_named_whichever_workspace_asks")
class LooksAtItsOwnOnly(MemoryBackend):
    def _everything(self):
        mine = self._mine().items()
        yield from ((snapshot, self.place.workspace_id, *stored) for snapshot, stored in mine)


@must_fail("test_a_content_with_a_changed_byte_is_never_handed_out")
class HandsOutWhateverIsThere(MemoryBackend):
    def _thing(self, key):
        return self._shelf.things[key]


@must_fail("test_other_bytes_of_the_same_size_are_not_taken_for_what_was_lost")
class PutsAnythingBack(MemoryBackend):
    def _put_back(self, entry, content, *, dry_run=False):
        return True


@must_fail("test_what_the_workspace_still_has_is_stored_again")
class HealsNothing(MemoryBackend):
    def _put_back(self, entry, content, *, dry_run=False):
        return False


@must_fail("test_what_the_workspace_still_has_is_stored_again")
class LooksOnlyWhereItWas(MemoryBackend):
    def _digest(self, file):
        return b""


@must_fail("test_a_dry_run_says_what_would_be_and_changes_no_byte")
class MendsInADryRun(MemoryBackend):
    def mend(self, *arguments, give_up, dry_run=False):
        return super().mend(*arguments, give_up=give_up)


@must_fail("test_what_nobody_has_any_more_is_left_out_and_nothing_else")
class PutsAsideAllThatIsDamaged(MemoryBackend):
    def mend(self, *arguments, give_up, dry_run=False):
        self.forget([damage.snapshot for damage in self.examine()])
        return iter(())
