"""The event-sourced shell, written once for all actors, in this order.

authorise -> decide -> evolve a candidate -> react -> commit -> candidate becomes the state -> perform -> reply

While a commit is under way the actor takes no further message and no thread waits: the outcome is a signal.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, Generic, cast

import structlog

from domainflow.actors import pending
from domainflow.actors.answers import (
    Asked,
    give,
    is_reused,
    kept,
    recorded_answer,
    refusal_of,
    settle,
    to_note,
)
from domainflow.actors.behaviour import Behaviour
from domainflow.actors.codec import EventT
from domainflow.actors.conflicts import resolution, unexpected
from domainflow.actors.draft import Draft, Stream, chain_birth, to_item
from domainflow.actors.effects import Tell
from domainflow.actors.envelope import DEFERRED, Deferred, Envelope
from domainflow.actors.patience import Patience
from domainflow.actors.rules import Ack, AuditContext, CommandT, Occasion, Rules, StateT, Strategy
from domainflow.actors.signals import Answer
from domainflow.errors import Corrupt, Denied, DomainFlowError, Fenced, KeyReused, Rejected, StoreUnavailable
from domainflow.security import gate
from domainflow.security.context import system
from domainflow.store.port import Committed, Committer, Foreign, HeldElsewhere, KeyTaken, Loaded, Stale, Unreadable

OUTCOME_S: Final = 120.0  # Postgres may be away for a while
LINGER_S: Final = 1.0  # whoever started a passive actor has a command for it that is still on its way
_log = structlog.get_logger()


class EventSourced(Behaviour[CommandT], Generic[StateT, CommandT, EventT]):
    """An actor whose state is its stream."""

    def __init__(
        self,
        rules: Rules[StateT, CommandT, EventT],
        stream: str,
        committer: Committer,
        perform: Callable[[Tell], None],
    ) -> None:
        """Wire it; nothing is read before it starts.

        Args:
            rules: which core.
            stream: whose state this is.
            committer: the way to the store.
            perform: sends an outside effect.
        """
        self._rules = rules
        self._stream = Stream(stream)
        self._committer = committer
        self._perform = perform
        self._state: StateT = rules.initial
        self._tries = 0  # of the command in hand, against others who moved a shared stream
        self._lingered = False
        self._patience = Patience(OUTCOME_S)  # for what the store was asked
        self._again: pending.Commit | None = None  # to be decided anew once the stream is reloaded

    @property
    def state(self) -> StateT:
        """What is durable and known."""
        return self._state

    def on_start(self) -> Deferred:
        self._load()
        return DEFERRED

    def receive(self, message: CommandT, envelope: Envelope) -> object:
        """Take one command; the answer comes when it is durable."""
        self._tries, self._lingered = 0, False
        return self._handle(message, envelope)

    def on_signal(self, signal: object) -> None:
        self._lingered = isinstance(signal, pending.Lingered)
        if isinstance(signal, pending.Overdue) and self._patience.is_over(self.cell):
            # Its lane may be gone for good, with its hand. The successor of this actor reads what became of it.
            raise StoreUnavailable(f"{self._stream.name}: no word from the store for {OUTCOME_S} s")
        if not isinstance(signal, Answer):
            return
        match signal.token:
            case pending.Load():
                self._loaded(signal.value)
            case pending.Commit() as commit:
                self._outcome_came()
                self._settled(commit, signal.value)
            case pending.Note() as note:
                self._outcome_came()
                self._noted(note, signal.value)
            case pending.Denial(note=note):
                self._noted(note, signal.value)
            case _:
                pass

    def on_idle(self) -> None:
        if not self._stream.version or not self._rules.passive(self._state):
            return
        if self._lingered:
            self.cell.stop_if_idle()
        else:
            self.cell.start_timer("linger", LINGER_S, pending.Lingered())

    # --- in

    def _handle(self, message: CommandT, envelope: Envelope) -> object:
        principal = envelope.context.principal
        tenant = self._stream.tenant or principal.tenant
        permission = self._rules.permission(message)
        decision = gate.check(principal, permission, tenant=tenant, owner=self._rules.owner(self._state))
        asked = Asked(envelope, AuditContext.of(envelope.context, message, decision.rule), self._rules.asked(message))
        if not decision.allowed:
            denial = Denied(f"{principal.id} may not {asked.audit.command}: {decision.rule}")
            return self._deny(asked, denial)
        if (conflict := unexpected(envelope, self._stream)) is not None:
            return self._note("refused", asked, conflict)
        try:
            events = self._rules.decide(self._state, message)
        except Rejected as refusal:
            return self._note("refused", asked, refusal)
        if not events:
            return self._note("unchanged", asked, Ack(self._stream.version, self._rules.status(self._state)))
        return self._commit(message, asked, events)

    def _commit(self, message: CommandT, asked: Asked, events: tuple[EventT, ...]) -> object:
        context, audit = asked.envelope.context, asked.audit
        tenant = self._stream.tenant or context.principal.tenant
        now_us = self._committer.now_us()
        draft = Draft.of(self._rules, self._state, events, stream=self._stream, tenant=tenant)
        ack = Ack(self._stream.version + len(events), draft.status)
        key, box = kept(asked, ack, stream=self._stream.name)
        item = to_item(draft, self._stream, audit=audit, now_us=now_us, key=key, box=box)
        births = self._rules.births(message, events, Occasion(context, now_us))
        group = (item, *(chain_birth(birth, tenant=tenant, audit=audit, now_us=now_us) for birth in births))
        draft.hash = item.hash
        self._committer.commit(group, self.cell.answer_to(pending.Commit(asked, draft)))
        self._await_outcome()
        return DEFERRED

    def _note(self, what: str, asked: Asked, answer: Ack | DomainFlowError) -> object:
        """Record what changed nothing; the answer waits for the record. The runtime's own reports leave none."""
        principal = asked.envelope.context.principal
        if principal == system(principal.tenant):
            return give(answer)
        about = self._stream.owned_by(principal.tenant)
        note = to_note(what, asked, answer, stream=self._stream.name, about=about)
        self._committer.note(note, self.cell.answer_to(pending.Note(asked, answer)))
        self._await_outcome()
        return DEFERRED

    def _deny(self, asked: Asked, denial: Denied) -> Deferred:
        """Record a denial, and go on meanwhile: nothing hangs on it, and a flood of them goes into few records."""
        note = to_note("denied", asked, denial, stream=self._stream.name, about=None)
        self._committer.note(note, self.cell.answer_to(pending.Denial(pending.Note(asked, denial))))
        return DEFERRED

    # --- out

    def _await_outcome(self) -> None:
        self.cell.suspend_user()
        self._patience.begin(self.cell)

    def _outcome_came(self) -> None:
        self._patience.end()
        self.cell.resume_user()

    def _settled(self, commit: pending.Commit, outcome: object) -> None:
        match outcome:
            case Committed():
                self._adopt(commit.draft)
                commit.asked.settle(Ack(self._stream.version, commit.draft.status))
            case KeyTaken():
                self._recall(commit.asked, outcome)
            case Stale() if not self._rules.owned:
                self._rebase(commit)
            case _:
                self._drop(commit.asked, outcome)

    def _drop(self, asked: Asked, outcome: object) -> None:
        """The candidate is dropped, and the refusal recorded where this actor's word counts and the store can store."""
        refusal = refusal_of(outcome, self._stream.name, owned=self._rules.owned)
        match refusal:
            case Fenced():
                # Whoever writes an owned stream besides us owns it, and answers what is asked again.
                asked.settle(refusal)
                self.cell.stop()
            case StoreUnavailable():
                _log.error("commit_failed", stream=self._stream.name, outcome=repr(outcome))
                asked.settle(refusal)
            case _:
                self._refuse(asked, refusal)

    def _refuse(self, asked: Asked, refusal: DomainFlowError) -> None:
        self._go_on(asked.envelope, partial(self._note, "refused", asked, refusal))

    def _noted(self, note: pending.Note, outcome: object) -> None:
        match outcome:
            case KeyTaken():
                self._recall(note.asked, outcome)
            case Committed():
                note.asked.settle(note.answer)
            case Foreign():
                self._drop(note.asked, outcome)  # it was answered from a state that is another owner's now
            case _:
                # No record, no answer that claims one: a failed audit fails the operation.
                _log.error("audit_failed", stream=self._stream.name, outcome=repr(outcome))
                note.asked.settle(StoreUnavailable("the audit record could not be stored; nothing was changed"))

    def _recall(self, asked: Asked, taken: KeyTaken) -> None:
        """Answer as before; to another command under the same key, a refusal."""
        if not is_reused(taken, asked, stream=self._stream.name):
            asked.settle(recorded_answer(taken))
            return
        key = asked.envelope.context.idempotency_key
        self._refuse(asked, KeyReused(f"idempotency key {key} was used with another command; nothing was done"))

    def _adopt(self, draft: Draft) -> None:
        self._state = draft.state  # type: ignore[assignment]  # it was evolved by the same rules
        self._stream.advance(draft)
        for effect in draft.outside:
            self._perform(effect)

    def _rebase(self, commit: pending.Commit) -> None:
        self._tries += 1
        self._again = commit
        self.cell.suspend_user()
        self._load()

    def _try_again(self, commit: pending.Commit, loaded: Loaded, decided_at: int) -> None:
        asked, draft = commit.asked, commit.draft
        command = cast("CommandT", asked.envelope.message)
        match resolution(self._rules, asked, draft, loaded, decided_at=decided_at, tries=self._tries):
            case Strategy.MERGE:
                ours = cast("tuple[EventT, ...]", draft.events)
                self._go_on(asked.envelope, lambda: self._commit(command, asked, ours))
            case Strategy.REBASE:
                self._go_on(asked.envelope, lambda: self._handle(command, asked.envelope))
            case Strategy.REJECT:
                self._refuse(asked, refusal_of(Stale(loaded.version), self._stream.name, owned=False))

    def _go_on(self, envelope: Envelope, step: Callable[[], object]) -> None:
        """Go on with a command after `receive`: what that would return or raise is the answer."""
        try:
            answer = step()
        except DomainFlowError as refusal:
            settle(envelope, refusal)
            return
        if answer is not DEFERRED:
            settle(envelope, answer)

    # --- loading

    def _load(self) -> None:
        settled = self.cell.answer_to(pending.Load())
        self._committer.load(
            self._stream.name, owned=self._rules.owned, fold_version=self._rules.fold_version, settled=settled
        )
        self._patience.begin(self.cell)

    def _loaded(self, answer: object) -> None:
        self._patience.end()
        decided_at = self._stream.version
        match answer:
            case Loaded():
                self._state = self._rules.fold(answer)
                self._stream.load(answer)
            case HeldElsewhere(runtime=runtime):
                raise Fenced(f"{self._stream.name} is owned by runtime {runtime}")
            case Unreadable(reason=reason):
                raise Corrupt(f"{self._stream.name} cannot be read: {reason}")
            case _:
                raise StoreUnavailable(f"{self._stream.name} could not be read")
        if self._again is None:
            self.cell.started()
            self._resume()
            return
        commit, self._again = self._again, None
        self.cell.resume_user()
        self._try_again(commit, answer, decided_at)

    def _resume(self) -> None:
        for effect in self._rules.resume(self._state):
            if isinstance(effect, Tell):
                self._perform(effect)
