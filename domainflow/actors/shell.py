"""The event-sourced shell, written once for all actors, in this order.

authorise -> decide -> evolve a candidate -> react -> commit -> candidate becomes the state -> perform -> reply

While a commit is under way the actor takes no further message and no thread waits: the outcome is a signal.
"""

from collections.abc import Callable
from typing import Final, Generic, cast

import structlog
from msgspec import Struct

from domainflow.actors import pending
from domainflow.actors.answers import give, recorded_answer, refusal_of, settle
from domainflow.actors.behaviour import Behaviour
from domainflow.actors.draft import Draft, Stream, chain_birth, to_item
from domainflow.actors.effects import Tell
from domainflow.actors.envelope import DEFERRED, Deferred, Envelope
from domainflow.actors.rules import (
    Ack,
    AuditContext,
    CommandT,
    EventT,
    Occasion,
    Refusal,
    Rules,
    StateT,
    encode,
    hash_command,
    tag_of,
)
from domainflow.actors.signals import Answer
from domainflow.errors import (
    Denied,
    DomainFlowError,
    Fenced,
    Rejected,
    StoreUnavailable,
    VersionConflict,
)
from domainflow.security import gate
from domainflow.security.context import Context, system
from domainflow.store.port import (
    AuditNote,
    BoxAnswer,
    Committed,
    Committer,
    Failed,
    Foreign,
    HeldElsewhere,
    Key,
    KeyTaken,
    Loaded,
    Stale,
)

SNAPSHOT_EVERY: Final = 64  # events; a restart replays at most that many
MOST_REBASES: Final = 8
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
        self._again: Envelope | None = None  # to be decided anew once the stream is reloaded

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
        self._lingered = signal == pending.Lingered()
        if isinstance(signal, pending.Overdue):
            # Its lane may be gone for good, with its hand. The successor of this actor reads what became of it.
            raise StoreUnavailable(f"{self._stream.name}: no outcome of a commit for {OUTCOME_S} s")
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
        context = envelope.context
        tenant = self._stream.tenant or context.principal.tenant
        permission = self._rules.permission(message)
        decision = gate.check(context.principal, permission, tenant=tenant, owner=self._rules.owner(self._state))
        audit = AuditContext(
            principal=context.principal.id,
            roles=context.principal.roles,
            correlation=context.correlation_id,
            causation=context.causation_id,
            command=tag_of(message),
            decision=decision.rule,
        )
        if not decision.allowed:
            return self._note(
                "denied", envelope, audit, Denied(f"{context.principal.id} may not {audit.command}: {decision.rule}")
            )
        try:
            events = self._rules.decide(self._state, message)
        except Rejected as refusal:
            return self._note("refused", envelope, audit, refusal)
        if not events:
            return self._note("unchanged", envelope, audit, Ack(self._stream.version, self._rules.status(self._state)))
        return self._commit(message, envelope, audit, events)

    def _commit(self, message: CommandT, envelope: Envelope, audit: AuditContext, events: tuple[EventT, ...]) -> object:
        tenant = self._stream.tenant or envelope.context.principal.tenant
        now_us = self._committer.now_us()
        draft = Draft.of(self._rules, self._state, events, stream=self._stream, tenant=tenant)
        ack = Ack(self._stream.version + len(events), draft.status)
        key, box = self._once(message, envelope.context, ack)
        item = to_item(draft, self._stream, audit=audit, now_us=now_us, key=key, box=box, snapshot_every=SNAPSHOT_EVERY)
        births = self._rules.births(message, events, Occasion(envelope.context, now_us))
        group = (item, *(chain_birth(birth, tenant=tenant, audit=audit, now_us=now_us) for birth in births))
        draft.hash = item.hash
        self._committer.commit(group, self.cell.reply_as(pending.Commit(envelope, draft)).set)
        self._await_outcome()
        return DEFERRED

    def _note(self, what: str, envelope: Envelope, audit: AuditContext, answer: Ack | DomainFlowError) -> object:
        """Record what changed nothing; the answer waits for the record. The runtime's own reports leave none."""
        context = envelope.context
        if context.principal == system(context.principal.tenant) and not isinstance(answer, Denied):
            return give(answer)
        stored = answer if isinstance(answer, Ack) else Refusal(answer.code, str(answer))
        key, box = self._once(envelope.message, context, stored)
        note = AuditNote(
            tenant=context.principal.tenant,
            type=f"audit.{what}",
            context=encode(audit),
            body=encode({"stream": self._stream.name, "answer": stored}),
            about=self._stream.owned_by(context.principal.tenant),
            key=key,
            box=box,
        )
        self._committer.note(note, self.cell.reply_as(pending.Note(envelope, answer)).set)
        self._await_outcome()
        return DEFERRED

    def _once(self, message: object, context: Context, answer: Ack | Refusal) -> tuple[Key | None, BoxAnswer | None]:
        box = BoxAnswer(context.box_id, encode(answer)) if context.box_id else None
        if not context.idempotency_key:
            return None, box
        principal = f"{context.principal.id}"
        hashed = hash_command(self._stream.name, message)  # type: ignore[arg-type]  # a command is a Struct
        return Key(principal=principal, key=context.idempotency_key, command_hash=hashed, answer=encode(answer)), box

    # --- out

    def _await_outcome(self) -> None:
        self.cell.suspend_user()
        self.cell.start_timer("outcome", OUTCOME_S, pending.Overdue())

    def _outcome_came(self) -> None:
        self.cell.cancel_timer("outcome")
        self.cell.resume_user()

    def _settled(self, commit: pending.Commit, outcome: object) -> None:
        envelope = commit.envelope
        match outcome:
            case Committed():
                self._adopt(commit.draft)
                settle(envelope.reply, Ack(self._stream.version, commit.draft.status))
            case KeyTaken():
                settle(envelope.reply, self._recorded(outcome, envelope))
            case Stale() if not self._rules.owned:
                self._rebase(envelope)
            case _:
                self._refused(outcome, envelope)

    def _refused(self, outcome: object, envelope: Envelope) -> None:
        """The candidate is dropped. Whoever writes an owned stream besides us owns it: there is nothing left to do."""
        if isinstance(outcome, Failed):
            _log.error("commit_failed", stream=self._stream.name, reason=outcome.reason)
        settle(envelope.reply, refusal_of(outcome, self._stream.name))
        if isinstance(outcome, Stale | Foreign):
            self.cell.stop()

    def _noted(self, note: pending.Note, outcome: object) -> None:
        match outcome:
            case KeyTaken():
                settle(note.envelope.reply, self._recorded(outcome, note.envelope))
            case Committed():
                settle(note.envelope.reply, note.answer)
            case Foreign():
                self._refused(outcome, note.envelope)  # it was answered from a state that is another owner's now
            case _:
                # No record, no answer that claims one: a failed audit fails the operation.
                _log.error("audit_failed", stream=self._stream.name, outcome=repr(outcome))
                settle(
                    note.envelope.reply, StoreUnavailable("the audit record could not be stored; nothing was changed")
                )

    def _adopt(self, draft: Draft) -> None:
        self._state = draft.state  # type: ignore[assignment]  # it was evolved by the same rules
        self._stream.advance(draft)
        for effect in draft.outside:
            self._perform(effect)

    def _rebase(self, envelope: Envelope) -> None:
        self._tries += 1
        if self._tries > MOST_REBASES:
            settle(
                envelope.reply,
                VersionConflict(f"{self._stream.name} was moved by others {MOST_REBASES} times in a row"),
            )
            return
        self._again = envelope
        self.cell.suspend_user()
        self._load()

    def _recorded(self, taken: KeyTaken, envelope: Envelope) -> Ack | DomainFlowError:
        command, key = cast("Struct", envelope.message), envelope.context.idempotency_key
        return recorded_answer(taken, self._stream.name, command, key)

    # --- loading

    def _load(self) -> None:
        settled = self.cell.reply_as(pending.Load()).set
        self._committer.load(
            self._stream.name, owned=self._rules.owned, fold_version=self._rules.fold_version, settled=settled
        )

    def _loaded(self, answer: object) -> None:
        match answer:
            case Loaded():
                self._state = self._rules.fold(answer)
                self._stream.load(answer)
            case HeldElsewhere(runtime=runtime):
                raise Fenced(f"{self._stream.name} is owned by runtime {runtime}")
            case _:
                raise StoreUnavailable(f"{self._stream.name} could not be read")
        if self._again is None:
            self.cell.started()
            self._resume()
            return
        envelope, self._again = self._again, None
        self.cell.resume_user()
        self._redo(envelope)

    def _redo(self, envelope: Envelope) -> None:
        try:
            answer = self._handle(envelope.message, envelope)  # type: ignore[arg-type]  # it was handled before
        except DomainFlowError as refusal:
            settle(envelope.reply, refusal)
            return
        if answer is not DEFERRED:
            settle(envelope.reply, answer)

    def _resume(self) -> None:
        for effect in self._rules.resume(self._state):
            if isinstance(effect, Tell):
                self._perform(effect)
