"""The subject of claims: models analysed once, with the models that they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ace.errors import Inapplicable
from ace.study.memory import Memory

if TYPE_CHECKING:
    from ace.study.run_history import RunHistory


class Studied(Protocol):
    """Models of one kind, analysed: what any subject needs of them."""

    @property
    def site(self) -> str:
        """Where they are read and edited, in words."""
        ...

    def require_behaviour(self, name: str) -> None:
        """Raise `Inapplicable` where a model does not perform the task: claims about how it does presuppose that."""
        ...


Study = TypeVar("Study", bound=Studied)


@dataclass(frozen=True, eq=False)
class Subject(Generic[Study]):
    """What a claim speaks about. Compared by identity, so that what was measured on it can be remembered.

    Attributes:
        name: shown in tables and matched with baselines: what was asked for, in full.
        about: which claims speak of it, see `Claim.about`.
        trained: the models.
        untrained: their twins at initialisation, on the same task; None where they cannot be made.
        companions: other models that serve as controls, by name.
        left_out: name -> why models that were asked for are not among them; said with every verdict.
        history: the training that the models come from, where its checkpoints are known.
        rerun: the command that verifies one claim again, with `{claim}` in the claim's place.
        memory: holds what is measured of it.
    """

    name: str
    about: str
    trained: Study
    untrained: Study | None = None
    companions: Mapping[str, Study] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    history: RunHistory | None = None
    rerun: str = ""
    memory: Memory = field(default_factory=Memory, repr=False)

    @property
    def site(self) -> str:
        """Where the models are read and edited."""
        return self.trained.site

    def require_behaviour(self) -> None:
        """Refuse claims about how a task is done to models that do not perform it.

        Raises:
            Inapplicable: a model lacks the behaviour, or did not generalise in its training.
        """
        if self.history is not None:
            self.history.require_generalised()
        self.trained.require_behaviour(self.name)

    def twins(self) -> Study:
        """The untrained models.

        Raises:
            Inapplicable: the subject has none.
        """
        if self.untrained is None:
            raise Inapplicable(f"{self.name} has no untrained twins to be held against")
        return self.untrained

    def companion(self, name: str) -> Study:
        """Other models by name.

        Raises:
            Inapplicable: the subject has none of that name.
        """
        if name not in self.companions:
            had = ", ".join(sorted(self.companions)) or "none"
            raise Inapplicable(f"{self.name} has no {name!r} models to be held against; it has {had}")
        return self.companions[name]

    def training(self) -> RunHistory:
        """The history of the models' training.

        Raises:
            Inapplicable: the subject has none.
        """
        if self.history is None:
            raise Inapplicable(f"{self.name} has no history of its training")
        return self.history

    def command(self, claim: str) -> str:
        """The command that verifies one claim on this subject again."""
        return self.rerun.replace("{claim}", claim)


@dataclass(frozen=True)
class LazySubject:
    """A subject that is made when a claim is first put to it, so that nothing is loaded or trained before.

    Attributes:
        name, about, rerun: of the subject to come.
        make: makes it; whatever it raises is the business of the verdict, not of a test's set-up.
        scale: "compact" or "paper" where the project trains it at both; else empty.
        group: subjects of one group share models, and are verified by one process.
        single_thread: whether its models are so small that a second thread makes them slower.
        memory: remembers the subject once it is made, and serves it.
    """

    name: str
    about: str
    make: Callable[[], Subject[Any]] = field(repr=False)
    scale: str = ""
    group: str = ""
    rerun: str = ""
    single_thread: bool = False
    memory: Memory = field(default_factory=Memory, repr=False, compare=False)

    def subject(self) -> Subject[Any]:
        """The subject, made now or remembered.

        Raises:
            Whatever `make` raises.
        """
        return self.memory.get(("subject", self.name, self.about), self.make)

    def command(self, claim: str) -> str:
        """The command that verifies one claim on this subject again."""
        return self.rerun.replace("{claim}", claim)
